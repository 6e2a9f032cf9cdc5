"""What the orchestrator's answers may complain of: a code, a status and a sentence.

The gateway reads the same codes back into its own errors. This module knows no HTTP library and
no engine; `STATUS` is the whole list.
"""

from typing import Any

STATUS = {
    "unauthorized": 401,
    "image_not_allowed": 403,
    "session_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "container_stopped": 409,
    "session_removing": 409,
    "body_too_large": 413,
    "invalid_request": 422,
    "too_many_containers": 429,
    "internal_error": 500,
    "container_failed": 502,
    "crash_loop": 502,
    "engine_unavailable": 503,
    "no_room": 503,
    "standby": 503,
    "start_queued": 503,
    "storage_unavailable": 503,
    "start_timeout": 504,
}


class OrchestratorError(Exception):
    """A failure that may be told to the gateway; the message is a sentence for a person."""

    def __init__(self, code: str, message: str, **data: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = STATUS[code]
        self.data = data

    def to_json(self) -> dict[str, Any]:
        name = "".join(word.capitalize() for word in self.code.split("_"))
        return {"name": name, "data": {"message": self.message, "code": self.code, **self.data}}
