"""Who starts next: so many starts at a time, shared fairly between users.

`Turns` decides and knows only ids and their order; `Queue` lets a start wait until it is called.
Neither knows what a start does, how long it takes or how many containers there may be.
"""

import heapq
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

Moved = Callable[[int, int], None]


@dataclass(slots=True)
class _User:
    """One user's starts. `since` is when the last turn began or ended or, before the first, when
    the user came: so no newcomer is ever before somebody who waits already."""

    since: int
    waiting: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    starting: set[str] = field(default_factory=set)


class Turns:
    """The fewest starts under way come first, then whose last turn is longest ago, then who came
    first. A user with neither a start nor a waiter is forgotten."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._users: dict[str, _User] = {}
        self._moment = itertools.count()

    def join(self, user_id: str, session_id: str) -> None:
        user = self._users.setdefault(user_id, _User(next(self._moment)))
        if session_id in user.waiting or session_id in user.starting:
            raise ValueError("A session has one start at a time.")
        user.waiting[session_id] = None

    def call(self) -> list[str]:
        """Give the free places away; return who got one."""
        called = list(itertools.islice(self._order(), self._free))
        for user_id, session_id in called:
            user = self._users[user_id]
            del user.waiting[session_id]
            user.starting.add(session_id)
            user.since = next(self._moment)
        self._free -= len(called)
        return [session_id for _, session_id in called]

    def leave(self, user_id: str, session_id: str) -> None:
        """End a start, or a wait that was given up."""
        user = self._users[user_id]
        if session_id in user.starting:
            user.starting.remove(session_id)
            user.since = next(self._moment)
            self._free += 1
        else:
            del user.waiting[session_id]
        if not user.starting and not user.waiting:
            del self._users[user_id]

    def line(self) -> list[str]:
        """Who waits, in the order in which they would be called if nothing else happened."""
        return [session_id for _, session_id in self._order()]

    def _order(self) -> Iterator[tuple[str, str]]:
        last = itertools.count(next(self._moment))
        waiting = {user_id: iter(user.waiting) for user_id, user in self._users.items()}
        heap = [(len(user.starting), user.since, name) for name, user in self._users.items()]
        heapq.heapify(heap)
        while heap:
            starts, _, user_id = heapq.heappop(heap)
            session_id = next(waiting[user_id], None)
            if session_id is not None:
                yield user_id, session_id
                heapq.heappush(heap, (starts + 1, next(last), user_id))


@dataclass(slots=True, eq=False)
class _Waiter:
    moved: Moved
    called: anyio.Event = field(default_factory=anyio.Event)
    place: int | None = None

    def stand(self, place: int, of: int) -> None:
        if place != self.place:
            self.place = place
            self.moved(place, of)


class Queue:
    """At most `places` starts at a time. Between a decision and what follows from it nothing is
    awaited, so whoever is cancelled, at whatever moment, leaves no place taken."""

    def __init__(self, places: int) -> None:
        self._turns = Turns(places)
        self._waiters: dict[str, _Waiter] = {}

    @property
    def waiting(self) -> int:
        return len(self._waiters)

    @asynccontextmanager
    async def place(self, user_id: str, session_id: str, moved: Moved) -> AsyncIterator[None]:
        """Wait for a place, and hold it. `moved(place, of)` is told each new place in the queue,
        from 1; it must not raise, and is not told that the queue grew behind it, or a rush of
        starts would be told of every other one."""
        self._turns.join(user_id, session_id)
        waiter = self._waiters[session_id] = _Waiter(moved)
        try:
            self._advance()
            await waiter.called.wait()
            yield
        finally:
            self._waiters.pop(session_id, None)
            self._turns.leave(user_id, session_id)
            self._advance()

    def _advance(self) -> None:
        for session_id in self._turns.call():
            self._waiters.pop(session_id).called.set()
        line = self._turns.line()
        for place, session_id in enumerate(line, start=1):
            self._waiters[session_id].stand(place, len(line))
