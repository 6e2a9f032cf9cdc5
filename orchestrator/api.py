"""The orchestrator over HTTP: JSON in, supervisor, JSON out, and the stream of changes.

Only the gateway calls it, with the service secret. This module decides nothing about containers.
"""

import hmac
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.engines.base import EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.office import Office
from orchestrator.orders import Allowed, is_id, read_keep, read_order, read_used
from orchestrator.supervisor import Supervisor

HEALTH = "/agent-controller/health"
HEARTBEAT_S = 10.0
_LARGEST_BODY = 64 * 1024


class ServiceSecret:
    """Lets only holders of the service secret pass; whether it is healthy, anybody may ask."""

    def __init__(self, app: ASGIApp, secret: str) -> None:
        self._app = app
        self._expected = f"Bearer {secret}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] != HEALTH and not self._holds(scope):
            error = OrchestratorError("unauthorized", "The service secret is missing or wrong.")
            await _told(error)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _holds(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(given) == 1 and hmac.compare_digest(given[0], self._expected)


async def ensure(request: Request) -> Response:
    order, force = read_order(await _body(request), _allowed(request))
    await _supervisor(request).ensure(order, force=force)
    return _shown(request, order.session_id)


async def verify(request: Request) -> Response:
    session_id = _session_id(request)
    await _supervisor(request).verify(session_id)
    return _shown(request, session_id)


async def stop(request: Request) -> Response:
    session_id = _session_id(request)
    await _supervisor(request).stop(session_id)
    return _shown(request, session_id)


async def keep(request: Request) -> Response:
    session_id, for_s = _session_id(request), read_keep(await _body(request))
    await _supervisor(request).keep(session_id, for_s)
    return _shown(request, session_id)


async def used(request: Request) -> Response:
    _supervisor(request).touched(read_used(await _body(request)))
    return Response(status_code=204)


async def remove(request: Request) -> Response:
    await _supervisor(request).remove(_session_id(request))
    return Response(status_code=204)


async def show(request: Request) -> Response:
    return _shown(request, _session_id(request))


async def show_all(request: Request) -> Response:
    only = request.query_params.getlist("id")
    return JSONResponse(_supervisor(request).snapshot(only or None))


async def metrics(request: Request) -> Response:
    text = _supervisor(request).metrics()
    return Response(text, media_type="text/plain; version=0.0.4")


async def health(request: Request) -> Response:
    try:
        engine = _supervisor(request).engine
    except OrchestratorError as standby:
        return JSONResponse({"healthy": False, "standby": True, "why": standby.message})
    try:
        await engine.ping()
    except EngineError as error:
        body = {"healthy": False, "engine": engine.name, "engine_answers": False, "why": str(error)}
        return JSONResponse(body)
    return JSONResponse({"healthy": True, "engine": engine.name, "engine_answers": True})


async def events(request: Request) -> Response:
    headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    stream = _stream(_supervisor(request))
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


async def _stream(supervisor: Supervisor) -> AsyncIterator[str]:
    async with supervisor.listening() as listener:
        async for change in listener.changes(HEARTBEAT_S):
            if change is None:
                yield ": heartbeat\n\n"
            else:
                name, body = change
                yield f"event: {name}\ndata: {json.dumps(body)}\n\n"


async def on_error(_: Request, error: Exception) -> Response:
    """Every failure in the one shape the gateway reads."""
    match error:
        case OrchestratorError():
            return _told(error)
        case EngineError():
            return _told(OrchestratorError(error.code, str(error)))
        case HTTPException(status_code=405):
            return _told(OrchestratorError("method_not_allowed", "This path has no such method."))
        case HTTPException():
            return _told(OrchestratorError("not_found", "There is nothing at this path."))
        case _:
            message = "The orchestrator made a mistake; its log says more."
            return _told(OrchestratorError("internal_error", message))


def _told(error: OrchestratorError) -> Response:
    return JSONResponse(error.to_json(), error.status)


async def _body(request: Request) -> Any:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_BODY:
            raise OrchestratorError("body_too_large", f"At most {_LARGEST_BODY} bytes are read.")
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise OrchestratorError("invalid_request", "The body is not valid JSON.") from error


def _shown(request: Request, session_id: str) -> Response:
    return JSONResponse(_supervisor(request).view(session_id))


def _session_id(request: Request) -> str:
    session_id: str = request.path_params["session_id"]
    if not is_id(session_id):
        raise OrchestratorError("session_not_found", "This is not the id of a session.")
    return session_id


def _supervisor(request: Request) -> Supervisor:
    return _office(request).supervisor


def _office(request: Request) -> Office:
    office: Office = request.app.state.office
    return office


def _allowed(request: Request) -> Allowed:
    allowed: Allowed = request.app.state.allowed
    return allowed


_SESSION = "/agent-controller/sessions/{session_id}"
routes = [
    Route("/agent-controller/sessions/agent", ensure, methods=["POST"]),
    Route("/agent-controller/sessions", show_all, methods=["GET"]),
    Route(_SESSION, show, methods=["GET"]),
    Route(_SESSION, remove, methods=["DELETE"]),
    Route(f"{_SESSION}/verify", verify, methods=["POST"]),
    Route(f"{_SESSION}/stop", stop, methods=["POST"]),
    Route(f"{_SESSION}/keep", keep, methods=["POST"]),
    Route("/agent-controller/activity", used, methods=["POST"]),
    Route("/agent-controller/metrics", metrics, methods=["GET"]),
    Route("/agent-controller/events", events, methods=["GET"]),
    Route(HEALTH, health, methods=["GET"]),
]
exception_handlers: dict[Any, Callable[[Request, Exception], Any]] = {
    OrchestratorError: on_error,
    EngineError: on_error,
    HTTPException: on_error,
    Exception: on_error,
}
