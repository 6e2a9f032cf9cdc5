"""What is known of a running server beyond its state: what it works on, what it uses, what it left.

One attendant to a container. While the server lives it follows its events and takes readings; the
decisions that are made of them are `ladder`'s and the owner's. It knows no record and no engine.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import anyio

from orchestrator.activity import Activity
from orchestrator.containers import Usage
from orchestrator.interrupted import conversation_of, find_interrupted
from orchestrator.server import NotReady, Server
from orchestrator.terminals import look_at_terminals
from orchestrator.watch import Watch

Spawn = Callable[[Callable[[], Awaitable[object]]], None]
# Of one core. An idle OpenCode uses 0.01 to 0.03, where many share the cores up to 0.12; a build or
# a test run takes what it gets.
_WORKING_SHARE = 0.2
# What hangs uses nothing; what is starved of a busy machine's processor still gets more than this.
_COMPUTING_SHARE = 0.05
_SHORTEST_READING_S = 0.5
_HEALTH_TIMEOUT_S = 5.0
_LEARN_AGAIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a container used at a moment of the monotonic clock."""

    at: float
    usage: Usage


class Attendant:
    """`changed` is told when what it would say of the server has changed."""

    def __init__(self, spawn: Spawn, changed: Callable[[], None], ask_wait_s: float) -> None:
        self._spawn = spawn
        self._changed = changed
        self._ask_wait_s = ask_wait_s
        self._watch: Watch | None = None
        self._scope = anyio.CancelScope()
        self._reading: Reading | None = None
        self._interrupted: list[dict[str, Any]] = []
        self._left_running: dict[str, str] = {}
        self._stirred = anyio.Event()
        self.version: str | None = None
        self.computes = False
        """Whether it used the processor between the last two readings, idling apart."""

    @property
    def activity(self) -> Activity | None:
        return self._watch.activity if self._watch else None

    @property
    def sees(self) -> bool:
        """Whether what it knows of the server is up to date."""
        return self._watch is not None and self._watch.sees

    @property
    def memory_bytes(self) -> int | None:
        return self._reading.usage.memory_bytes if self._reading else None

    def attend(
        self, server: Server, booted: datetime, *, look_back: bool, frozen: Callable[[], bool]
    ) -> None:
        """Follow a server from now on; `look_back` for what its last end left unfinished."""
        self.leave()
        self._scope = anyio.CancelScope()
        watch = self._watch = Watch(server, booted, anyio.current_time, self._told, frozen=frozen)

        async def follow(scope: anyio.CancelScope = self._scope) -> None:
            with scope:
                async with anyio.create_task_group() as group:
                    group.start_soon(watch.follow)
                    await self._learn(watch, look_back=look_back)

        self._spawn(follow)

    def leave(self) -> None:
        """The server is gone, and what was known of it with it."""
        self._scope.cancel()
        if self._watch is not None:
            self._left_running = self._watch.activity.work.running()
        self._watch = self._reading = self.version = None
        self._interrupted, self.computes = [], False
        self.stir()

    def touched(self, what: str) -> None:
        """Somebody used it, in a way that its own events do not tell."""
        if self.activity is not None:
            self.activity.touched(what, anyio.current_time())

    def busy(self) -> list[str]:
        """What it works on, in words; empty when it rests."""
        if self.activity is None:
            return []
        return self.activity.busy(anyio.current_time(), self._ask_wait_s)

    def rest_s(self) -> float | None:
        """How long nothing has happened; None while something does, or while nobody can tell."""
        if self.activity is None or not self.sees or self.busy():
            return None
        return max(0.0, anyio.current_time() - self.activity.last)

    def read(self, usage: Usage) -> None:
        """Take a reading, and see from the last one whether something works that tells nobody."""
        now, before = anyio.current_time(), self._reading
        if self.activity is not None:
            self.activity.computed(usage.cpu_s, now)
        if before is not None and now - before.at < _SHORTEST_READING_S:
            return
        self._reading = Reading(now, usage)
        if before is not None:
            share = (usage.cpu_s - before.usage.cpu_s) / (now - before.at)
            self.computes = share > _COMPUTING_SHARE
            if share > _WORKING_SHARE:
                self.touched("a process in it works")

    async def listen_to_terminals(self) -> None:
        """See whether a terminal printed that nobody looks at."""
        watch = self._watch
        if watch is not None and watch.activity.work.terminals:
            cursors = await look_at_terminals(watch.server, watch.activity.work.terminals)
            watch.activity.looked(cursors, anyio.current_time())

    def interrupted(self) -> list[dict[str, Any]]:
        """Events that tell of turns which a killed server left unfinished, as long as nobody has
        taken them up again."""
        begun = self.activity.work.begun if self.activity else set()
        return [told for told in self._interrupted if conversation_of(told) not in begun]

    def stir(self) -> None:
        """Wake all who wait for something to have changed."""
        self._stirred.set()
        self._stirred = anyio.Event()

    async def stirred(self) -> None:
        await self._stirred.wait()

    def _told(self) -> None:
        self.stir()
        self._changed()

    async def _learn(self, watch: Watch, *, look_back: bool) -> None:
        """What does not change while the server lives."""
        while True:
            if await self._learnt(watch, look_back=look_back):
                self._changed()
                return
            await anyio.sleep(_LEARN_AGAIN_S)

    async def _learnt(self, watch: Watch, *, look_back: bool) -> bool:
        with suppress(NotReady):
            self.version = await watch.server.check_health(_HEALTH_TIMEOUT_S)
            if look_back:
                found = await find_interrupted(watch.server, self._left_running)
                # Before, one that runs now would be told as left unfinished.
                while not watch.sees:
                    await self.stirred()
                self._interrupted = found
            return True
        return False
