"""Blocking clients on threads: never more than a few, and none waited for too long.

Each call has a client to itself. One that outlives its deadline keeps its thread until it really
ends, so a hanging engine costs a few threads and no more; and no thread keeps the program from
ending. This module does not know what the clients speak to.
"""

import asyncio
import math
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

import anyio

T = TypeVar("T")
_MOMENT_S = 2.0


class Closeable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closeable)


class Clients(Generic[C]):
    """At most so many clients, made when they are first needed and lent to one call at a time."""

    def __init__(self, make: Callable[[], C], most: int) -> None:
        self._make = make
        self._places = asyncio.Semaphore(most)
        self._idle: list[C] = []
        self._acting: set[anyio.CancelScope] = set()
        self._patience_s = math.inf
        self._closed = False

    async def ask(self, work: Callable[[C], T], timeout_s: float) -> T:
        """Run `work` with a client. Raises TimeoutError; may be cancelled at any time."""
        async with asyncio.timeout(timeout_s):
            await self._places.acquire()
            return await self._lent(work)

    async def act(self, work: Callable[[C], T], timeout_s: float) -> T:
        """As `ask`, for work that changes something: it is not left half done, nobody goes on
        while it may still be happening, and only its deadline or the program's end does."""
        until = anyio.current_time() + self._patience_s
        with anyio.CancelScope(shield=True, deadline=until) as scope:
            self._acting.add(scope)
            try:
                return await self.ask(work, timeout_s)
            finally:
                self._acting.discard(scope)
        raise TimeoutError

    def hurry(self) -> None:
        """From now on wait for work no longer than a moment."""
        self._patience_s = _MOMENT_S
        for scope in self._acting:
            scope.deadline = min(scope.deadline, anyio.current_time() + _MOMENT_S)

    def close(self) -> None:
        """Close what is idle; what is lent is closed when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _lent(self, work: Callable[[C], T]) -> asyncio.Future[T]:
        client = self._idle.pop() if self._idle else None
        loop = asyncio.get_running_loop()
        outcome: Future[T] = Future()
        outcome.set_running_or_notify_cancel()  # a thread can't be stopped, whoever goes away

        def run() -> None:
            lent = client
            try:
                lent = lent or self._make()
                outcome.set_result(work(lent))
            except Exception as error:  # noqa: BLE001 - the thread's outermost frame: told to who asked
                outcome.set_exception(error)
            try:
                loop.call_soon_threadsafe(self._take_back, lent)
            except RuntimeError:  # the loop has ended, and nobody needs it any more
                _close(lent)

        # A pool's threads are waited for when the interpreter ends, however long they hang.
        threading.Thread(target=run, name="engine", daemon=True).start()
        return asyncio.wrap_future(outcome)

    def _take_back(self, client: C | None) -> None:
        self._places.release()
        if self._closed:
            _close(client)
        elif client is not None:
            self._idle.append(client)


def _close(client: Closeable | None) -> None:
    if client is not None:
        client.close()
