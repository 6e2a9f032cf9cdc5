"""The engine without a container engine: one local process per session, which isolates nothing.

Whatever blocks is the shelf's and runs on worker threads; what is left here is to call it and to
notice the ends of processes. This module knows no state and no database.
"""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from orchestrator.containers import Environment, Limits, Observation, Spec
from orchestrator.engines.base import EngineError
from orchestrator.engines.exits import Exits
from orchestrator.engines.pids import Process
from orchestrator.engines.shelf import Shelf

T = TypeVar("T")


class ProcessEngine:
    """Runs `opencode serve` on this machine; see `base.Engine` for what its methods promise."""

    name = "process"

    def __init__(self, program: Path, state: Path, search_path: str) -> None:
        self._shelf = Shelf(program, state, search_path)
        self._exits = Exits()

    async def ping(self) -> None:
        await _run(self._shelf.check)

    async def fingerprint(self, image: str, limits: Limits) -> str:
        return self.name  # image and limits mean nothing to a bare process

    async def create(self, spec: Spec) -> Observation:
        return await _run(lambda: self._shelf.create(spec))

    async def start(self, session_id: str, environment: Environment) -> Observation:
        seen = await _run(lambda: self._shelf.start(session_id, environment))
        self._watch(seen)
        return seen

    async def stop(self, session_id: str) -> None:
        await _run(lambda: self._shelf.stop(session_id))

    async def remove(self, session_id: str) -> None:
        await _run(lambda: self._shelf.remove(session_id))

    async def remove_volume(self, session_id: str) -> None:
        await _run(lambda: self._shelf.remove_volume(session_id))

    async def find(self, session_id: str) -> Observation | None:
        seen = await _run(lambda: self._shelf.find(session_id))
        if seen is not None:
            self._watch(seen)
        return seen

    async def find_all(self) -> list[Observation]:
        found = await _run(self._shelf.find_all)
        for seen in found:
            self._watch(seen)
        return found

    async def last_lines(self, session_id: str) -> list[str]:
        return await _run(lambda: self._shelf.last_lines(session_id))

    async def events(self) -> AsyncGenerator[str | None, None]:
        yield None
        while True:
            yield await self._exits.next()

    def hurry(self) -> None:
        """Nothing here takes long."""

    async def aclose(self) -> None:
        self._exits.close()

    def _watch(self, seen: Observation) -> None:
        if seen.running:
            pid, _, born = seen.boot.partition(".")
            self._exits.watch(seen.session_id, Process(int(pid), born))


async def _run(work: Callable[[], T]) -> T:
    """Run blocking work on a thread; what the file system refuses is the engine's refusal."""
    try:
        return await anyio.to_thread.run_sync(work)
    except OSError as error:
        raise EngineError(f"The local process engine can't work: {error}.") from error
