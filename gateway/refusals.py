"""The answers that the front gives without asking anybody: refusals, redirects, a patient health.

Codes and sentences in the product's one error shape. It knows what went wrong only by its code.
"""

import json
from urllib.parse import quote

from gateway.errors import GatewayError
from gateway.routing import Place
from gateway.wire.door import Answer, Failure

OPENCODE_VERSION = "1.18.33"

_SENTENCES = {
    "authentication_required": (
        "Sign in at /gateway/login, or present a session's access token as Basic password "
        "or Bearer token."
    ),
    "agent_required": "Bring an agent first: a provider, a model and its token.",
    "session_required": "Start or choose a session first; this login names none.",
    "cross_site": "This request comes from another site, and cookies do not count from there.",
    "session_removing": "This session is being deleted.",
    "container_unavailable": "The session's container cannot be had now.",
    "conversation_unavailable": (
        "This conversation lives in the session's own container, which cannot be had now."
    ),
    "not_on_shared": (
        "The session's container cannot be had now, and the shared service does not do this "
        "for one person."
    ),
}
_CREATE_AT = {"agent_required": "/gateway/agents", "session_required": "/gateway/"}
_RETRY_S = 5.0
_WIRE_CODES = {
    400: "bad_request",
    408: "request_timeout",
    414: "target_too_long",
    431: "head_too_large",
    500: "internal_error",
    501: "not_implemented",
    505: "version_not_supported",
}
_FAILED = {
    "unreachable": ("upstream_failed", "The server behind the gateway cannot be reached."),
    "closed": ("upstream_failed", "The server behind the gateway closed without an answer."),
    "invalid": ("upstream_failed", "The server behind the gateway gave no valid HTTP answer."),
    "timeout": ("upstream_timeout", "The server behind the gateway did not answer in time."),
}


def answer(code: str, place: Place | None = None) -> Answer:
    """Refuse with a code of this module; `place` adds why the container is not to be had."""
    sentence = _SENTENCES[code]
    data: dict[str, object] = {}
    if code in _CREATE_AT:
        data["create_url"] = _CREATE_AT[code]
    if code in ("container_unavailable", "conversation_unavailable", "not_on_shared"):
        data["retry_after_s"] = (place.retry_after_s if place else None) or _RETRY_S
        if place is not None:
            data |= {"why": place.why, "state": place.state}
    return _from_error(GatewayError(code, sentence, **data))


def no_answer(failure: Failure, mark: bytes) -> Answer:
    """Say that an upstream gave none; it may have acted, so nobody else was asked."""
    code, sentence = _FAILED[failure.kind]
    return _from_error(GatewayError(code, sentence), mark)


def of_wire(status: int, sentence: str) -> Answer:
    code = _WIRE_CODES.get(status, "bad_request")
    return _from_error(GatewayError(code, sentence))


def redirect(path: str, wanted: bytes) -> Answer:
    """Send a browser to one of our pages, which sends it back to what it wanted."""
    after = f"?next={quote(wanted, safe='')}" if path.endswith("/login") else ""
    return Answer(303, b"", f"Location: {path}{after}\r\nCache-Control: no-store\r\n".encode())


def starting_but_healthy() -> Answer:
    """Answer a health probe as the container will: the same constant, only earlier."""
    body = json.dumps({"healthy": True, "version": OPENCODE_VERSION}).encode()
    return Answer(200, body, b"Content-Type: application/json\r\nCache-Control: no-store\r\n")


def _from_error(error: GatewayError, mark: bytes = b"") -> Answer:
    headers = {"Content-Type": "application/json", "Cache-Control": "no-store", **error.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return Answer(error.status, json.dumps(error.to_json()).encode(), lines.encode() + mark)
