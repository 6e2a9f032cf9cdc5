"""A request's body as a JSON object, or the reason why it is none.

Only `application/json` is read: a form on another site cannot send that without being asked for
leave first, which is half of the protection against forged requests.
"""

import json
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from gateway.errors import GatewayError

_MOST_BYTES = 64 * 1024


async def read_object(request: Request) -> dict[str, Any]:
    """Return the body's object; raises GatewayError."""
    _check_type(request)
    try:
        parsed = json.loads(await _bytes(request), parse_constant=_refuse_constant)
    except (ValueError, RecursionError, ClientDisconnect) as error:
        # A number of 5,000 digits and a lone 0xFF are ValueErrors as well.
        raise GatewayError("invalid_json", "The body is not valid JSON in UTF-8.") from error
    if not isinstance(parsed, dict):
        raise GatewayError("invalid_request", "The body must be a JSON object.", field=None)
    return parsed


async def read_nothing(request: Request) -> None:
    """Refuse a body where none is wanted, with the same words as where one is."""
    if request.headers.get("content-type") is not None:
        _check_type(request)
    await _bytes(request)


def _check_type(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise GatewayError(
            "unsupported_media_type", "Send JSON, with the header Content-Type: application/json."
        )


async def _bytes(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise GatewayError(
                "body_too_large", f"The body may have at most {_MOST_BYTES:,} bytes."
            )
    return bytes(body)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity are Python's, not JSON's
