"""What can go wrong, as an outsider sees it: a code, a sentence, a status.

Whoever meets a failure raises GatewayError with a code of STATUS; nobody else chooses a status.
The same table reads an orchestrator's answer back into the error it was. This module knows no
HTTP library: the API and the wire each write `to_json` and `headers` in their own way.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

STATUS = {
    "bad_request": 400,
    "invalid_json": 400,
    "authentication_required": 401,
    "invalid_credentials": 401,
    "invalid_link": 401,
    "cross_site": 403,
    "image_not_allowed": 403,
    "login_required": 403,
    "agent_not_found": 404,
    "conversation_not_found": 404,
    "not_found": 404,
    "session_not_found": 404,
    "user_not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "agent_in_use": 409,
    "agent_required": 409,
    "container_stopped": 409,
    "session_removing": 409,
    "session_required": 409,
    "username_taken": 409,
    "body_too_large": 413,
    "target_too_long": 414,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "unknown_provider": 422,
    "too_many_attempts": 429,
    "too_many_containers": 429,
    "head_too_large": 431,
    "internal_error": 500,
    "token_unreadable": 500,
    "not_implemented": 501,
    "container_failed": 502,
    "crash_loop": 502,
    "model_failed": 502,
    "orchestrator_failed": 502,
    "upstream_failed": 502,
    "container_unavailable": 503,
    "conversation_unavailable": 503,
    "engine_unavailable": 503,
    "no_room": 503,
    "not_on_shared": 503,
    "orchestrator_unavailable": 503,
    "shared_unavailable": 503,
    "standby": 503,
    "start_queued": 503,
    "storage_unavailable": 503,
    "too_many_connections": 503,
    "start_timeout": 504,
    "upstream_timeout": 504,
    "version_not_supported": 505,
    "storage_full": 507,
    "loop_detected": 508,
}


class GatewayError(Exception):
    """A failure that may be told to whoever asked; the message is a sentence they can act on."""

    def __init__(self, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS[code]
        self.data: dict[str, Any] = data

    @property
    def name(self) -> str:
        return "".join(word.capitalize() for word in self.code.split("_"))

    @property
    def headers(self) -> dict[str, str]:
        """The response headers that this failure implies."""
        headers = {}
        wait = self.data.get("retry_after_s")
        if isinstance(wait, (int, float)) and math.isfinite(wait):
            headers["Retry-After"] = str(max(1, math.ceil(wait)))
        if self.code == "authentication_required":
            # What OpenCode itself answers; its clients read nothing else as "log in". A refused
            # login form must not carry it: the browser would cover the page with its own dialog.
            headers["WWW-Authenticate"] = 'Basic realm="OpenCode Gateway"'
        return headers

    def to_json(self) -> dict[str, Any]:
        """The shape of OpenCode's own errors, so that its clients show ours."""
        return {
            "name": self.name,
            "data": {**self.data, "message": self.message, "code": self.code},
        }


def from_response(status: int, body: bytes) -> GatewayError:
    """Read an orchestrator's failed answer back into the error that it raised."""
    match _parsed(body):
        case {"data": {"code": str(code), "message": str(message), **rest}} if code in STATUS:
            return GatewayError(code, message, **_keywords(rest))
    if status == STATUS["authentication_required"]:
        return GatewayError(
            "orchestrator_failed",
            "The orchestrator refuses the gateway's service secret: give both the same one.",
        )
    return GatewayError(
        "orchestrator_failed", f"The orchestrator answered {status} with no reason we know."
    )


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _keywords(data: Mapping[Any, Any]) -> dict[str, Any]:
    """Drop what would collide with the constructor's own names: a peer chooses these keys."""
    return {key: value for key, value in data.items() if key not in {"self", "code", "message"}}
