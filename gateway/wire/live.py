"""Which connections are open under which key, so that a revoked key ends them at once.

The keys are somebody else's words (a login, a session); here they are only equal or not.
"""

import sys
from collections.abc import Iterable
from typing import Protocol


class Revocable(Protocol):
    def revoke(self) -> None: ...


class Live:
    """`most` connections have room under one key; nought means that all have."""

    def __init__(self, most: int = 0) -> None:
        self._most = most or sys.maxsize
        self._held: dict[str, set[Revocable]] = {}

    def has_room(self, keys: Iterable[str], connection: Revocable) -> bool:
        """Whether a connection may enter; one that is held already has its room."""
        for key in keys:
            held = self._held.get(key)
            if held is not None and len(held) >= self._most and connection not in held:
                return False
        return True

    def enter(self, keys: Iterable[str], connection: Revocable) -> None:
        for key in keys:
            held = self._held.get(key)
            if held is None:
                self._held[key] = {connection}
            else:
                held.add(connection)

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
