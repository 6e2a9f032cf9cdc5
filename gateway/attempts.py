"""How often a name was tried from one address, and when it may be tried again.

Counted per name and address together: whoever guesses from elsewhere keeps nobody out. The address
is the connection's; behind a proxy all have the proxy's, and whoever guesses a name there keeps it
out for a while. It knows no password and no request; the caller brings the clock.
"""

import time
from collections import OrderedDict
from collections.abc import Callable

from gateway.errors import GatewayError

_ALLOWED = 10
_WINDOW_S = 300.0
_REMEMBERED = 10_000  # keys; strangers choose them, so their number is bounded

_Key = tuple[str, str]


class Attempts:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[_Key, list[float]] = OrderedDict()

    def begin(self, username: str, address: str) -> None:
        """Count an attempt before its outcome is known, or raise: many at once count as many."""
        recent = self._recent(username, address)
        if len(recent) >= _ALLOWED:
            wait = _WINDOW_S - (self._clock() - recent[0])
            raise GatewayError(
                "too_many_attempts",
                f"Too many attempts: wait {max(1, round(wait))} seconds and try again.",
                retry_after_s=round(wait, 1),
            )
        recent.append(self._clock())

    def count(self, username: str, address: str) -> None:
        """Count an attempt that another worker has let begin."""
        recent = self._recent(username, address)
        if len(recent) < _ALLOWED:
            recent.append(self._clock())

    def succeeded(self, username: str, address: str) -> None:
        """Forget the attempts: whoever knows the password was not guessing."""
        self._times.pop((username, address), None)

    def _recent(self, username: str, address: str) -> list[float]:
        key, now = (username, address), self._clock()
        recent = [at for at in self._times.pop(key, []) if now - at < _WINDOW_S]
        self._times[key] = recent
        if len(self._times) > _REMEMBERED:
            self._times.popitem(last=False)
        return recent
