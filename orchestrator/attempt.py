"""One start under way: everybody who asks meanwhile waits for the same outcome.

It belongs to the supervisor's tasks and not to whoever asked first, so a caller who goes away
takes nothing with them. This module does not know what a start does.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from orchestrator.engines.base import EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.readiness import Progress

Spawn = Callable[[Callable[[], Awaitable[None]]], None]


@dataclass(slots=True, eq=False)
class Attempt:
    """A start's progress, its end, and what went wrong."""

    progress: Progress
    done: anyio.Event = field(default_factory=anyio.Event)
    served: anyio.Event = field(default_factory=anyio.Event)
    _scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    _error: OrchestratorError | None = None

    async def run(self, work: "Work", lock: anyio.Lock) -> None:
        """Work while holding the owner's lock; what goes wrong is kept for those who wait."""
        try:
            with self._scope:
                async with lock:
                    await work(self)
        except OrchestratorError as error:
            self._error = error
        except EngineError as error:
            self._error = OrchestratorError(error.code, str(error))

    def abandon(self, error: OrchestratorError) -> None:
        """Give the start up; the reason goes to those who wait."""
        self._error = error
        self._scope.cancel()

    def end(self) -> None:
        """Nothing more comes of it."""
        self.served.set()
        self.done.set()

    async def outcome(self) -> None:
        """Wait until it is `served`, which is before all of it is written down, or until its end;
        raise what went wrong."""
        await self.served.wait()
        if self._error is not None:
            raise self._error


Work = Callable[[Attempt], Awaitable[None]]
