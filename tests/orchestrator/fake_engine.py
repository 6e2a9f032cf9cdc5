"""An honest engine in memory: what it says it runs really listens, and it can be made to fail.

Each method can be held at its beginning, or made to refuse, so that a test can look at what
happens in between. The contract tests run against it too, which keeps it honest.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

import anyio

from orchestrator.containers import (
    Environment,
    Identity,
    Limits,
    Observation,
    Room,
    Spec,
    Usage,
    is_spare,
)
from orchestrator.engines.base import EngineError, EngineUnavailable
from tests.orchestrator.fake_opencode import FakeOpenCode, Manner


@dataclass
class FakeContainer:
    seen: Observation
    server: FakeOpenCode | None = None
    usage: Usage = field(default_factory=lambda: Usage(240 << 20, 1.0))
    identity: Identity | None = None
    lines: list[str] = field(default_factory=list)


class FakeEngine:
    name = "fake"
    has_spares = True
    opencode = FakeOpenCode

    def __init__(self) -> None:
        self.containers: dict[str, FakeContainer] = {}
        self.written: dict[str, bool] = {}
        """Each volume, and whether something has been written to it."""
        self.calls: Counter[str] = Counter()
        self.manner = Manner.HEALTHY
        self.answers = True
        self.memory = Room(8 << 30, 4 << 30)
        self._refusals: dict[str, EngineError] = {}
        self._holds: dict[str, anyio.Event] = {}
        self._reached: dict[str, anyio.Event] = {}
        self._words: asyncio.Queue[str | EngineError | None] = asyncio.Queue()
        self._boots = 0

    def refuse(self, method: str, error: EngineError) -> None:
        self._refusals[method] = error

    def relent(self, method: str) -> None:
        del self._refusals[method]

    def hold(self, method: str) -> anyio.Event:
        """Hold the next calls of `method` until the event is set; `reached` tells of the first."""
        self._holds[method] = anyio.Event()
        self._reached[method] = anyio.Event()
        return self._holds[method]

    def release(self, method: str) -> None:
        self._holds.pop(method).set()

    async def reached(self, method: str) -> None:
        with anyio.fail_after(5):
            await self._reached[method].wait()

    async def lose(self, key: str) -> None:
        """Remove a container while nobody listens."""
        await self._halt(key, "")
        del self.containers[key]
        while not self._words.empty():
            self._words.get_nowait()

    async def kill(self, key: str, end: str = "It was ended by signal 9.") -> None:
        """What a person with Docker's own tools does: the supervisor learns of it by event."""
        await self._halt(key, end)

    def show_all(self) -> None:
        """Say that events may have been missed, as after an engine's own restart."""
        self._words.put_nowait(None)

    def break_events(self) -> None:
        self._words.put_nowait(EngineUnavailable("The stream of events broke."))

    def server(self, key: str) -> FakeOpenCode:
        server = self.containers[key].server
        assert server is not None
        return server

    async def ping(self) -> None:
        await self._called("ping")

    async def fingerprint(self, image: str, limits: Limits) -> str:
        await self._called("fingerprint")
        return f"{image} {limits}"

    async def create(self, spec: Spec) -> Observation:
        await self._called("create")
        self.written.setdefault(spec.volume, False)
        seen = Observation(
            spec.key,
            f"container-{self.calls['create']}",
            spec.nonce,
            spec.fingerprint,
            running=False,
            boot="",
            volume=spec.volume,
        )
        self.containers[spec.key] = FakeContainer(seen)
        return seen

    async def start(self, key: str, environment: Environment) -> Observation:
        await self._called("start")
        if key not in self.containers:
            raise EngineError("There is no such container.")
        container = self.containers[key]
        server = self.opencode(environment.values["OPENCODE_SERVER_PASSWORD"])
        server.manner = self.manner
        with anyio.CancelScope(shield=True):  # as a real engine goes on with what was begun
            address = await server.listen()
        container.server = server
        self._boots += 1
        container.seen = replace(
            container.seen, running=True, boot=f"boot-{self._boots}", address=address, end=""
        )
        container.lines = self._printed(container.seen.volume, environment)
        if "END_WITH" in environment.values:
            await self._halt(
                key, f"It ended by itself with exit code {environment.values['END_WITH']}."
            )
        return container.seen

    async def claim(self, spare: str, key: str, identity: Identity) -> Observation:
        await self._called("claim")
        container = self._running(spare)
        if not is_spare(spare) or container.identity is not None:
            raise EngineError("It did not take its agent's configuration.")
        container.identity = identity
        self.server(spare).says["/config"] = json.loads(identity.configuration)
        if key in self.containers:
            raise EngineError("There is a container of that name already.")
        container.seen = replace(container.seen, key=key)
        self.containers[key] = self.containers.pop(spare)
        for each in (spare, key):
            self._words.put_nowait(each)
        return container.seen

    async def freeze(self, key: str) -> None:
        await self._called("freeze")
        container = self._running(key)
        self.server(key).freeze()
        container.seen = replace(container.seen, frozen=True)
        self._words.put_nowait(key)

    async def thaw(self, key: str) -> Observation:
        await self._called("thaw")
        if key not in self.containers:
            raise EngineError("There is no such container.")
        container = self.containers[key]
        if container.server is not None:
            container.server.thaw()
        container.seen = replace(container.seen, frozen=False)
        self._words.put_nowait(key)
        return container.seen

    async def stop(self, key: str) -> None:
        await self._called("stop")
        await self._halt(key, "It was stopped.")

    async def remove(self, key: str) -> None:
        await self._called("remove")
        await self._halt(key, "")
        self.containers.pop(key, None)

    async def remove_volume(self, volume: str) -> None:
        await self._called("remove_volume")
        self.written.pop(volume, None)

    async def find(self, key: str) -> Observation | None:
        await self._called("find")
        container = self.containers.get(key)
        return None if container is None else container.seen

    async def find_all(self) -> list[Observation]:
        await self._called("find_all")
        return [container.seen for container in self.containers.values()]

    async def volumes(self) -> list[str]:
        await self._called("volumes")
        return list(self.written)

    async def usage(self, key: str) -> Usage | None:
        await self._called("usage")
        container = self.containers.get(key)
        return container.usage if container is not None and container.seen.running else None

    async def room(self) -> Room:
        await self._called("room")
        return self.memory

    async def last_lines(self, key: str) -> list[str]:
        await self._called("last_lines")
        container = self.containers.get(key)
        return [] if container is None else container.lines

    async def events(self) -> AsyncGenerator[str | None, None]:
        await self._called("events")
        yield None
        while True:
            word = await self._words.get()
            if isinstance(word, EngineError):
                raise word
            yield word

    def hurry(self) -> None:
        self.calls["hurry"] += 1

    async def aclose(self) -> None:
        for key in list(self.containers):
            await self._halt(key, "")

    def _running(self, key: str) -> FakeContainer:
        if key not in self.containers or not self.containers[key].seen.running:
            raise EngineError("It does not run.")
        return self.containers[key]

    def _printed(self, volume: str, environment: Environment) -> list[str]:
        """What the contract tests' program prints."""
        before, self.written[volume] = self.written[volume], True
        greeting = f"started with {environment.values.get('GREETING')}"
        return [greeting, *(["seen before"] if before else []), "workspace writable", "*"]

    async def _called(self, method: str) -> None:
        self.calls[method] += 1
        if not self.answers:
            raise EngineUnavailable("The fake engine does not answer.")
        if method in self._holds:
            self._reached[method].set()
            await self._holds[method].wait()
        if method in self._refusals:
            raise self._refusals[method]
        await anyio.lowlevel.checkpoint()

    async def _halt(self, key: str, end: str) -> None:
        container = self.containers.get(key)
        if container is not None and container.server is not None:
            server, container.server, container.identity = container.server, None, None
            container.seen = replace(
                container.seen, running=False, frozen=False, address=None, end=end
            )
            await server.close()
            self._words.put_nowait(key)
