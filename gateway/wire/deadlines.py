"""One clock for all connections: who is past its deadline is told, who is not read is looked at.

A timer per request costs more than the request's own bookkeeping; a sweep over 5,000 connections
costs a millisecond. Deadlines are in seconds of the loop's monotonic clock.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)

TICK_S = 0.25


class Bounded(Protocol):
    """`deadline` is None while nothing is being waited for."""

    deadline: float | None

    def expire(self) -> None: ...


class Unread(Protocol):
    def look(self) -> None:
        """Nothing is read from this client: see whether it is still there."""
        ...


class Deadlines:
    def __init__(self) -> None:
        self._watched: set[Bounded] = set()
        self._unread: set[Unread] = set()

    def watch(self, bounded: Bounded) -> None:
        self._watched.add(bounded)

    def unwatch(self, bounded: Bounded) -> None:
        self._watched.discard(bounded)

    def look_after(self, unread: Unread) -> None:
        self._unread.add(unread)

    def look_away(self, unread: Unread) -> None:
        self._unread.discard(unread)

    async def run(self) -> None:
        """Sweep until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(TICK_S)
            self.sweep(clock())

    def sweep(self, now: float) -> None:
        late = [b for b in self._watched if b.deadline is not None and b.deadline <= now]
        for bounded in late:
            bounded.deadline = None
            _call(bounded.expire)
        for unread in list(self._unread):
            _call(unread.look)


def _call(told: Callable[[], None]) -> None:
    try:
        told()
    except Exception:  # one connection's defect must not end all others' deadlines
        logger.exception("deadline failed")
