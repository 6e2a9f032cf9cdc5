"""Waiting for a container's OpenCode server until it serves, has ended, or the time is over.

It asks the server and looks at the engine; what a start that failed means is told by StartFailed
and decided elsewhere. This module knows no state and stores nothing.
"""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from orchestrator.containers import Observation, Phase
from orchestrator.engines.base import Engine
from orchestrator.server import NotReady, Server

Check = Callable[[Server], Awaitable[object]]
ServerOf = Callable[[Observation], Server | None]
# A question to a port where nobody listens yet costs 0.5 ms of a core.
_ASK_EVERY_S = 0.025
_LOOK_EVERY_S = 1.0
_FIRST_PATIENCE_S = 0.05
_LONGEST_PATIENCE_S = 2.0
_MORE_PATIENCE = 1.25
INSTANCE_TIMEOUT_S = 30.0  # loading a workspace takes a loaded machine this long


@dataclass(slots=True)
class Progress:
    """What a running start tells, and is told: its phase goes out, a nudge comes in."""

    tell: Callable[[Phase], None]
    nudged: anyio.Event = field(default_factory=anyio.Event)

    def nudge(self) -> None:
        """Say that the engine saw something happen to the container, so it is looked at now."""
        self.nudged.set()


@dataclass(slots=True)
class Wait:
    """Asking one container until it is ready or has ended."""

    engine: Engine
    server_of: ServerOf
    seen: Observation
    progress: Progress
    last_word: str = "Nothing answers on its port."
    looked_at: float = -math.inf
    patience_s: float = _FIRST_PATIENCE_S

    async def until_ready(self) -> tuple[Observation, float]:
        """The container as it is then, and when it first answered at all. Raises NotReady when
        waiting longer can't help."""
        await self._until(self._check_health)
        answered_at = anyio.current_time()
        self.progress.tell(Phase.CHECKING)
        await self._until(lambda server: server.check_instance(INSTANCE_TIMEOUT_S))
        return self.seen, answered_at

    async def _check_health(self, server: Server) -> None:
        """A question that comes while OpenCode listens and does not serve yet is never answered
        (1.18.33); that lasts a fifth of its boot. So the first is given up soon, and each later one
        is given a little longer, as a server that is only slow needs."""
        asked_at = anyio.current_time()
        try:
            await server.check_health(self.patience_s)
        except NotReady:
            if anyio.current_time() - asked_at > self.patience_s / 2:
                self.patience_s = min(_MORE_PATIENCE * self.patience_s, _LONGEST_PATIENCE_S)
            raise

    async def _until(self, check: Check) -> None:
        while not await self._holds(check):
            with anyio.move_on_after(_ASK_EVERY_S):
                await self.progress.nudged.wait()
            await self._look()

    async def _holds(self, check: Check) -> bool:
        server = self.server_of(self.seen)
        if server is None:
            return False
        try:
            await check(server)
        except NotReady as reason:
            if reason.final:
                raise
            self.last_word = reason.why
            return False
        return True

    async def _look(self) -> None:
        """See whether it still runs: when nudged at once, else once a second."""
        nudged = self.progress.nudged.is_set()
        if not nudged and anyio.current_time() - self.looked_at < _LOOK_EVERY_S:
            return
        self.progress.nudged = anyio.Event()
        self.looked_at = anyio.current_time()
        seen = await self.engine.find(self.seen.key)
        if seen is None or not seen.running:
            end = "It was removed." if seen is None else seen.end
            raise NotReady(f"It ended while it was starting. {end}", final=True)
        # Frozen by somebody else in the middle of its start: nobody would ever wake it.
        self.seen = await self.engine.thaw(seen.key) if seen.frozen else seen
