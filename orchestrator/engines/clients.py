"""Blocking clients on worker threads: never more than a few, and none waited for too long.

Each thread has a client of its own. A call that outlives its deadline keeps its thread until it
really ends, so a hanging engine costs a few threads and no more. This module does not know what
the clients speak to.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

import anyio

T = TypeVar("T")


class Closeable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closeable)


class Clients(Generic[C]):
    """A few threads, each with the client it made when it was first used."""

    def __init__(self, make: Callable[[], C], most: int) -> None:
        self._make = make
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="engine")
        self._mine = threading.local()
        self._made: list[C] = []

    async def ask(self, work: Callable[[C], T], timeout_s: float) -> T:
        """Run `work` with a client. Raises TimeoutError; may be cancelled at any time."""
        loop = asyncio.get_running_loop()
        done = loop.run_in_executor(self._threads, lambda: work(self._client()))
        return await asyncio.wait_for(done, timeout_s)

    async def act(self, work: Callable[[C], T], timeout_s: float) -> T:
        """As `ask`, for work that changes something: it is not left half done, nobody goes on
        while it may still be happening, and only its deadline ends the wait."""
        with anyio.CancelScope(shield=True):
            answer = await self.ask(work, timeout_s)
        return answer  # noqa: RET504 - a scope may swallow what is raised, says its type

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._made:
            client.close()

    def _client(self) -> C:
        if not hasattr(self._mine, "client"):
            self._mine.client = self._make()
            self._made.append(self._mine.client)
        client: C = self._mine.client
        return client
