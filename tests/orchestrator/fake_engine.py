"""An honest engine in memory: what it says it runs really listens, and it can be made to fail.

Each method can be held at its beginning, or made to refuse, so that a test can look at what
happens in between. The contract tests run against it too, which keeps it honest.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

import anyio

from orchestrator.containers import Environment, Limits, Observation, Spec
from orchestrator.engines.base import EngineError, EngineUnavailable
from tests.orchestrator.fake_opencode import FakeOpenCode, Manner


@dataclass
class FakeContainer:
    seen: Observation
    server: FakeOpenCode | None = None
    lines: list[str] = field(default_factory=list)


class FakeEngine:
    name = "fake"
    opencode = FakeOpenCode

    def __init__(self) -> None:
        self.containers: dict[str, FakeContainer] = {}
        self.volumes: dict[str, bool] = {}
        """Each volume, and whether something has been written to it."""
        self.calls: Counter[str] = Counter()
        self.manner = Manner.HEALTHY
        self.answers = True
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

    async def lose(self, session_id: str) -> None:
        """Remove a container while nobody listens."""
        await self._halt(session_id, "")
        del self.containers[session_id]
        while not self._words.empty():
            self._words.get_nowait()

    async def kill(self, session_id: str, end: str = "It was ended by signal 9.") -> None:
        """What a person with Docker's own tools does: the supervisor learns of it by event."""
        await self._halt(session_id, end)

    def show_all(self) -> None:
        """Say that events may have been missed, as after an engine's own restart."""
        self._words.put_nowait(None)

    def break_events(self) -> None:
        self._words.put_nowait(EngineUnavailable("The stream of events broke."))

    def server(self, session_id: str) -> FakeOpenCode:
        server = self.containers[session_id].server
        assert server is not None
        return server

    async def ping(self) -> None:
        await self._called("ping")

    async def fingerprint(self, image: str, limits: Limits) -> str:
        await self._called("fingerprint")
        return f"{image} {limits}"

    async def create(self, spec: Spec) -> Observation:
        await self._called("create")
        self.volumes.setdefault(spec.session_id, False)
        container_id = f"container-{self.calls['create']}"
        seen = Observation(
            spec.session_id, container_id, spec.nonce, spec.fingerprint, running=False, boot=""
        )
        self.containers[spec.session_id] = FakeContainer(seen)
        return seen

    async def start(self, session_id: str, environment: Environment) -> Observation:
        await self._called("start")
        if session_id not in self.containers:
            raise EngineError("There is no such container.")
        container = self.containers[session_id]
        container.server = self.opencode(environment.values["OPENCODE_SERVER_PASSWORD"])
        container.server.manner = self.manner
        address = await container.server.listen()
        self._boots += 1
        container.seen = replace(
            container.seen, running=True, boot=f"boot-{self._boots}", address=address, end=""
        )
        container.lines = self._printed(session_id, environment)
        if "END_WITH" in environment.values:
            await self._halt(
                session_id, f"It ended by itself with exit code {environment.values['END_WITH']}."
            )
        return container.seen

    async def stop(self, session_id: str) -> None:
        await self._called("stop")
        await self._halt(session_id, "It was stopped.")

    async def remove(self, session_id: str) -> None:
        await self._called("remove")
        await self._halt(session_id, "")
        self.containers.pop(session_id, None)

    async def remove_volume(self, session_id: str) -> None:
        await self._called("remove_volume")
        self.volumes.pop(session_id, None)

    async def find(self, session_id: str) -> Observation | None:
        await self._called("find")
        container = self.containers.get(session_id)
        return None if container is None else container.seen

    async def find_all(self) -> list[Observation]:
        await self._called("find_all")
        return [container.seen for container in self.containers.values()]

    async def last_lines(self, session_id: str) -> list[str]:
        await self._called("last_lines")
        container = self.containers.get(session_id)
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
        for session_id in list(self.containers):
            await self._halt(session_id, "")

    def _printed(self, session_id: str, environment: Environment) -> list[str]:
        """What the contract tests' program prints."""
        before, self.volumes[session_id] = self.volumes[session_id], True
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

    async def _halt(self, session_id: str, end: str) -> None:
        container = self.containers.get(session_id)
        if container is not None and container.server is not None:
            server, container.server = container.server, None
            container.seen = replace(container.seen, running=False, address=None, end=end)
            await server.close()
            self._words.put_nowait(session_id)
