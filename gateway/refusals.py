"""The answers that the front gives without asking anybody: refusals and redirects.

Codes and sentences in the product's one error shape. It knows what went wrong only by its code.
"""

import json
from urllib.parse import quote

from gateway import marks
from gateway.errors import GatewayError
from gateway.routing import Place
from gateway.wire.door import Answer, Failure

_SENTENCES = {
    "authentication_required": (
        "Sign in at /gateway/login, or present a session's access token as Basic password "
        "or Bearer token."
    ),
    "agent_required": "Bring an agent first: a provider, a model and its token.",
    "session_required": "Start or choose a session first; this login names none.",
    "cross_site": (
        "This request comes from another site, where what a browser sends by itself does not count."
    ),
    "session_removing": "This session is being deleted.",
    "loop_detected": (
        "This request has come through this gateway before: SHARED_URL leads to the gateway itself."
    ),
    "container_unavailable": "The session's container cannot be had now.",
    "conversation_unavailable": (
        "This conversation lives in the session's own container, which cannot be had now."
    ),
    "shared_unavailable": (
        "The shared service would have to answer this, and does not answer now."
    ),
    "not_on_shared": (
        "The shared service would have to answer this, and does not do it for one person: it is "
        "everybody's, and limited to talk."
    ),
}
_CREATE_AT = {"agent_required": "/gateway/agents", "session_required": "/gateway/"}
_RETRY_S = 5.0
_WIRE_CODES = {
    400: "bad_request",
    408: "request_timeout",
    413: "body_too_large",
    414: "target_too_long",
    431: "head_too_large",
    500: "internal_error",
    501: "not_implemented",
    503: "too_many_connections",
    504: "upstream_timeout",
    505: "version_not_supported",
}
_SET_BY = {
    413: "MAX_BODY_BYTES",
    414: "MAX_TARGET_BYTES and MAX_HEAD_BYTES",
    431: "MAX_HEAD_BYTES and MAX_HEADERS",
    503: "MAX_CONNECTIONS_PER_ADDRESS and MAX_CONNECTIONS_PER_SESSION",
}
_FAILED = {
    "unreachable": ("upstream_failed", "The server behind the gateway cannot be reached."),
    "closed": ("upstream_failed", "The server behind the gateway closed without an answer."),
    "invalid": ("upstream_failed", "The server behind the gateway gave no valid HTTP answer."),
    "timeout": ("upstream_timeout", "The server behind the gateway did not answer in time."),
}


def answer(code: str) -> Answer:
    """Refuse for a reason that lies in the request."""
    data = {"create_url": _CREATE_AT[code]} if code in _CREATE_AT else {}
    return of_error(GatewayError(code, _SENTENCES[code], **data))


def about(code: str, place: Place, wait_s: float | None) -> Answer:
    """Refuse because of where the session lives: why it cannot be had, and when to come back."""
    known = {"why": place.why, "state": place.state, "retry_after_s": wait_s or _RETRY_S}
    if place.problem is not None:
        known["reason"] = place.problem
    return of_error(GatewayError(code, _SENTENCES[code], **known), marks.SESSION)


def because(code: str, cause: GatewayError) -> Answer:
    """Refuse because a start just failed; the cause's own sentence says why."""
    wait_s = cause.data.get("retry_after_s") or _RETRY_S
    # Whoever waits in the orchestrator's queue is told how far they have come.
    place = {"place": cause.data["place"]} if "place" in cause.data else {}
    known = {"why": cause.message, "reason": cause.code, "retry_after_s": wait_s, **place}
    return of_error(GatewayError(code, _SENTENCES[code], **known), marks.SESSION)


def no_answer(failure: Failure, mark: bytes) -> Answer:
    """Say that an upstream gave none; it may have acted, so nobody else was asked."""
    code, sentence = _FAILED[failure.kind]
    return of_error(GatewayError(code, sentence), mark)


def shared_unavailable(mark: bytes) -> Answer:
    """Say that the shared service does not answer; nothing was sent to it."""
    code = "shared_unavailable"
    return of_error(GatewayError(code, _SENTENCES[code], retry_after_s=_RETRY_S), mark)


def of_wire(status: int, sentence: str) -> Answer:
    code = _WIRE_CODES.get(status, "bad_request")
    known = {"retry_after_s": _RETRY_S} if status == 503 else {}
    if status in _SET_BY:
        sentence += f" An operator sets the limit by {_SET_BY[status]}."
    return of_error(GatewayError(code, sentence, **known))


def redirect(path: str, wanted: bytes) -> Answer:
    """Send a browser to one of our pages, which sends it back to what it wanted."""
    after = f"?next={quote(wanted, safe='')}" if path.endswith("/login") else ""
    return Answer(303, b"", f"Location: {path}{after}\r\nCache-Control: no-store\r\n".encode())


def of_error(error: GatewayError, mark: bytes = b"") -> Answer:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **error.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return Answer(error.status, json.dumps(error.to_json()).encode(), lines.encode() + mark)
