"""The engine without a container engine: one local process per session, which isolates nothing.

Whatever blocks is the shelf's and runs on worker threads; what is left here is to call it and to
notice the ends of processes. This module knows no state and no database.
"""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TypeVar

import anyio.to_thread

from orchestrator.containers import Environment, Identity, Limits, Observation, Room, Spec, Usage
from orchestrator.engines.base import EngineError
from orchestrator.engines.exits import Exits
from orchestrator.engines.memory import room_here
from orchestrator.engines.pids import Process
from orchestrator.engines.shelf import Shelf

T = TypeVar("T")


class ProcessEngine:
    """Runs `opencode serve` on this machine; see `base.Engine` for what its methods promise."""

    name = "process"
    has_spares = False

    def __init__(self, program: Path, state: Path, search_path: str) -> None:
        self._shelf = Shelf(program, state, search_path)
        self._exits = Exits()

    async def ping(self) -> None:
        await _run(self._shelf.check)

    async def fingerprint(self, image: str, limits: Limits) -> str:
        return self.name  # image and limits mean nothing to a bare process

    async def create(self, spec: Spec) -> Observation:
        return await _run(lambda: self._shelf.create(spec))

    async def start(self, key: str, environment: Environment) -> Observation:
        return self._watched(await _run(lambda: self._shelf.start(key, environment)))

    async def claim(self, spare: str, key: str, identity: Identity) -> Observation:
        """A process can be given neither another folder nor another environment while it runs."""
        raise EngineError("Local processes can't be started for nobody and claimed later.")

    async def freeze(self, key: str) -> None:
        await _run(lambda: self._shelf.freeze(key))

    async def thaw(self, key: str) -> Observation:
        return self._watched(await _run(lambda: self._shelf.thaw(key)))

    async def stop(self, key: str) -> None:
        await _run(lambda: self._shelf.stop(key))

    async def remove(self, key: str) -> None:
        await _run(lambda: self._shelf.remove(key))

    async def remove_volume(self, volume: str) -> None:
        await _run(lambda: self._shelf.remove_volume(volume))

    async def find(self, key: str) -> Observation | None:
        seen = await _run(lambda: self._shelf.find(key))
        return None if seen is None else self._watched(seen)

    async def find_all(self) -> list[Observation]:
        return [self._watched(seen) for seen in await _run(self._shelf.find_all)]

    async def volumes(self) -> list[str]:
        return await _run(self._shelf.volumes)

    async def usage(self, key: str) -> Usage | None:
        return await _run(lambda: self._shelf.usage(key))

    async def room(self) -> Room:
        return await _run(room_here)

    async def last_lines(self, key: str) -> list[str]:
        return await _run(lambda: self._shelf.last_lines(key))

    async def events(self) -> AsyncGenerator[str | None, None]:
        yield None
        while True:
            yield await self._exits.next()

    def hurry(self) -> None:
        """Nothing here takes long."""

    async def aclose(self) -> None:
        self._exits.close()

    def _watched(self, seen: Observation) -> Observation:
        if seen.running:
            pid, _, born = seen.boot.partition(".")
            self._exits.watch(seen.key, Process(int(pid), born))
        return seen


async def _run(work: Callable[[], T]) -> T:
    """Run blocking work on a thread; what the file system refuses is the engine's refusal."""
    try:
        return await anyio.to_thread.run_sync(work)
    except OSError as error:
        raise EngineError(f"The local process engine can't work: {error}.") from error
