"""The Docker engine: its blocking work, brought to the event loop.

What is asked of Docker is in `dock`; the line it is asked on, with its threads, deadlines and
errors, is in `docker_line`. This module decides nothing.
"""

from collections.abc import AsyncGenerator, Mapping

import anyio.to_thread

from orchestrator.containers import (
    Environment,
    Identity,
    Limits,
    Observation,
    Room,
    Spec,
    Usage,
)
from orchestrator.engines.dock import Dock, room_beside, total_bytes
from orchestrator.engines.docker_events import DockerEvents
from orchestrator.engines.docker_json import Place
from orchestrator.engines.docker_line import DockerLine
from orchestrator.engines.memory import room_here


class DockerEngine:
    """Containers of a Docker Engine; see `base.Engine` for what its methods promise."""

    name = "docker"
    has_spares = True

    def __init__(self, environment: Mapping[str, str], place: Place) -> None:
        self._line = DockerLine(environment)
        self._place = place
        self._dock = Dock(place)
        self._total_bytes: int | None = None

    async def ping(self) -> None:
        await self._line.ping()

    async def fingerprint(self, image: str, limits: Limits) -> str:
        return await self._line.act(lambda client: self._dock.fingerprint(client, image, limits))

    async def create(self, spec: Spec) -> Observation:
        return await self._line.act(lambda client: self._dock.create(client, spec))

    async def start(self, key: str, environment: Environment) -> Observation:
        return await self._line.act(lambda client: self._dock.start(client, key, environment))

    async def claim(self, spare: str, key: str, identity: Identity) -> Observation:
        return await self._line.act(lambda client: self._dock.claim(client, spare, key, identity))

    async def freeze(self, key: str) -> None:
        await self._line.act(lambda client: self._dock.freeze(client, key))

    async def thaw(self, key: str) -> Observation:
        return await self._line.act(lambda client: self._dock.thaw(client, key))

    async def stop(self, key: str) -> None:
        await self._line.act(lambda client: self._dock.stop(client, key))

    async def remove(self, key: str) -> None:
        await self._line.act(lambda client: self._dock.remove(client, key))

    async def remove_volume(self, volume: str) -> None:
        await self._line.act(lambda client: self._dock.remove_volume(client, volume))

    async def find(self, key: str) -> Observation | None:
        return await self._line.ask(lambda client: self._dock.find(client, key))

    async def find_all(self) -> list[Observation]:
        return await self._line.ask(self._dock.find_all)

    async def volumes(self) -> list[str]:
        return await self._line.ask(self._dock.volumes)

    async def usage(self, key: str) -> Usage | None:
        return await self._line.ask(lambda client: self._dock.usage(client, key))

    async def room(self) -> Room:
        """Of the machine the engine runs on, which is this one if it has as much memory to the
        byte. Before each start it is asked for, and all that Docker tells takes it 10 ms."""
        if self._total_bytes is None:
            self._total_bytes = await self._line.ask(total_bytes)
        here, total = await anyio.to_thread.run_sync(room_here), self._total_bytes
        if total == here.total_bytes:
            return here
        return await self._line.ask(lambda client: room_beside(client, total))

    async def last_lines(self, key: str) -> list[str]:
        return await self._line.ask(lambda client: self._dock.last_lines(client, key))

    async def events(self) -> AsyncGenerator[str | None, None]:
        stream = DockerEvents(self._line.connect, self._place.filters(), self._line.translated)
        try:
            async for key in stream.heard():
                yield key
        finally:
            stream.close()

    def hurry(self) -> None:
        self._line.hurry()

    async def aclose(self) -> None:
        self._line.close()
