"""Which connections are open under which key, so that a revoked key ends them at once.

The keys are somebody else's words (a login, a session); here they are only equal or not.
"""

from collections.abc import Iterable
from typing import Protocol


class Revocable(Protocol):
    def revoke(self) -> None: ...


class Live:
    def __init__(self) -> None:
        self._held: dict[str, set[Revocable]] = {}

    def enter(self, keys: Iterable[str], connection: Revocable) -> None:
        for key in keys:
            self._held.setdefault(key, set()).add(connection)

    def leave(self, keys: Iterable[str], connection: Revocable) -> None:
        for key in keys:
            held = self._held.get(key)
            if held is None:
                continue
            held.discard(connection)
            if not held:
                del self._held[key]

    def close(self, key: str) -> int:
        """End everything that is open under `key`; return how many connections that were."""
        held = list(self._held.get(key, ()))
        for connection in held:
            connection.revoke()
        return len(held)
