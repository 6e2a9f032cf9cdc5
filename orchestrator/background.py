"""Work that nobody waits for: one group of tasks, in which a mistake stays its own.

What fails is told to the log; an engine that does not answer is told once, until it does again.
This module does not know what the work is.
"""

import logging
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from orchestrator.engines.base import Engine, EngineError, EngineUnavailable
from orchestrator.errors import OrchestratorError

logger = logging.getLogger(__name__)
Work = Callable[[], Awaitable[object]]


class Background:
    """`group` is set by whoever runs it, before anything is spawned."""

    def __init__(self, engine: Engine) -> None:
        self.group: TaskGroup | None = None
        self._engine = engine
        self._engine_problem: str | None = None

    def spawn(self, work: Work) -> None:
        assert self.group is not None, "the supervisor is not running"
        self.group.start_soon(self.guarded, work)

    async def repeat(self, work: Work, every_s: float) -> None:
        """Work at a steady beat, however long it takes: silence is counted in beats."""
        due = anyio.current_time()
        while True:
            due = max(due + every_s, anyio.current_time())
            await anyio.sleep_until(due)
            await self.guarded(work)

    async def guarded(self, work: Work) -> None:
        """Run one piece of work; what fails there must not end all the others."""
        try:
            await work()
        except EngineError as error:
            self.engine_failed(error)
        except OrchestratorError as error:
            logger.warning("background work failed: %s", error.message)
        except Exception:  # the outermost wrapper: a mistake in one session's work stays its own
            logger.exception("background work failed")

    def engine_failed(self, error: EngineError) -> None:
        if str(error) != self._engine_problem:
            logger.warning("engine %s: %s", self._engine.name, error)
        if isinstance(error, EngineUnavailable):
            self._engine_problem = str(error)

    def engine_answers(self) -> None:
        if self._engine_problem is not None:
            logger.info("engine %s answers again", self._engine.name)
        self._engine_problem = None
