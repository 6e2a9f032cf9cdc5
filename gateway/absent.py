"""What is known not to be there, for a while: so that it is not looked for again and again.

Bounded, because strangers choose part of what is asked for. Logins and sessions are named by ids
that are never used again, so what was absent once stays so. It knows no store and no request.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

_REMEMBERED = 10_000
_KEPT_S = 120.0


class Absent:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: OrderedDict[str, float] = OrderedDict()

    def __contains__(self, key: str) -> bool:
        until = self._until.get(key)
        if until is not None and until <= self._clock():
            del self._until[key]
            until = None
        return until is not None

    def note(self, key: str) -> None:
        self._until.pop(key, None)
        self._until[key] = self._clock() + _KEPT_S
        if len(self._until) > _REMEMBERED:
            self._until.popitem(last=False)

    def forget(self, key: str) -> None:
        self._until.pop(key, None)


def login_key(login_id: str) -> str:
    return f"login {login_id}"


def session_key(session_id: str) -> str:
    return f"session {session_id}"
