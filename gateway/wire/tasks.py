"""The owner of every task that a connection starts: keeps it, reports it, ends it.

Protocol callbacks are synchronous, so they cannot hold a task group open; they hand coroutines to
this owner, which is closed with the server. It knows nothing of what the tasks do.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


class Tasks:
    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a coroutine; the returned task may be cancelled, and is awaited at `aclose`."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("task failed name=%s", task.get_name(), exc_info=error)

    async def aclose(self) -> None:
        """Cancel what still runs and wait for its end; what it starts while ending as well."""
        while self._running:
            for task in self._running:
                task.cancel("the gateway is shutting down")
            await asyncio.wait(self._running)
