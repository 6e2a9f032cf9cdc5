"""How a failure leaves: one shape, whoever raised it, and no word of what broke inside.

It knows Starlette's exceptions and ours; the sentences come with the errors themselves.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from gateway.api.answers import answer
from gateway.errors import GatewayError


async def _ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    headers = error.headers
    # A page's script that lost its login asks the person on its own page; with this header the
    # browser would cover that with a dialog for a name and a password which no API takes.
    if request.headers.get("sec-fetch-mode") in ("cors", "same-origin"):
        headers.pop("WWW-Authenticate", None)
    return answer(error.to_json(), error.status, headers)


async def _starlettes(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path[:200]
    if error.status_code == 405:
        methods = ", ".join(_methods(request))
        sentence = f"{request.method} is not possible here; {path} takes {methods}."
        refused = GatewayError("method_not_allowed", sentence)
        return answer(refused.to_json(), refused.status, {"Allow": methods})
    if error.status_code == 404:
        return await _ours(request, GatewayError("not_found", f"There is nothing at {path}."))
    return await _ours(request, GatewayError("bad_request", f"{error.detail}."))


def _methods(request: Request) -> list[str]:
    """Every method the path takes: Starlette names those of its first route only."""
    found: set[str] = set()
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return sorted(found)


async def _unforeseen(request: Request, _error: Exception) -> Response:
    """Starlette raises the error again once this is sent; the connection logs it there."""
    failed = GatewayError(
        "internal_error", "Something broke inside the gateway; its log says what."
    )
    return await _ours(request, failed)


Handler = Callable[[Request, Exception], Awaitable[Response]]

exception_handlers: dict[Any, Handler] = {
    GatewayError: _ours,
    HTTPException: _starlettes,
    Exception: _unforeseen,
}
