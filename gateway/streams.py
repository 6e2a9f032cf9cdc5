"""Under which names open connections are held, and how a revoked one ends them.

It knows logins and sessions by id; `wire.live` underneath knows only names.
"""

from gateway.credentials import Caller
from gateway.wire.live import Live


class Streams:
    def __init__(self, live: Live) -> None:
        self._live = live

    def close_login(self, login_id: str) -> None:
        self._live.close(f"login {login_id}")

    def close_session(self, session_id: str) -> None:
        self._live.close(f"session {session_id}")

    def close_fallback(self, session_id: str) -> None:
        """End the event streams that the shared service serves in the container's place."""
        self._live.close(_fallback(session_id))


def names(caller: Caller, *, fallback_events: bool = False) -> tuple[str, ...]:
    """Return the names under which a caller's connection is held."""
    found = []
    if caller.login_id is not None:
        found.append(f"login {caller.login_id}")
    if caller.session_id is not None:
        found.append(f"session {caller.session_id}")
        if fallback_events:
            found.append(_fallback(caller.session_id))
    return tuple(found)


def _fallback(session_id: str) -> str:
    return f"fallback {session_id}"
