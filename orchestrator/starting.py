"""One start: from whatever an engine shows of a session to an OpenCode server that serves.

Steps and their deadlines are here; what a start means for the record is the owner's business.
This module knows no state and stores nothing.
"""

import logging
import math
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from orchestrator import opencode
from orchestrator.containers import Environment, Observation, Order, Phase, Spec, Timings
from orchestrator.engines.base import Engine, EngineError
from orchestrator.lifecycle import Way, way_to_start
from orchestrator.server import Client, NotReady, Server

logger = logging.getLogger(__name__)

Check = Callable[[Server], Awaitable[None]]
_ASK_EVERY_S = 0.1
_LOOK_EVERY_S = 1.0
_HEALTH_TIMEOUT_S = 2.0
_INSTANCE_TIMEOUT_S = 30.0  # loading a workspace takes a loaded machine this long
_LINES_SHOWN = 5


class StartFailed(Exception):
    """It did not start; `problem` is the code and `why` the sentence for whoever asked."""

    def __init__(self, problem: str, why: str) -> None:
        super().__init__(why)
        self.problem = problem
        self.why = why


@dataclass(slots=True)
class Progress:
    """What a running start tells, and is told: its phase goes out, a nudge comes in."""

    tell: Callable[[Phase], None]
    nudged: anyio.Event = field(default_factory=anyio.Event)

    def nudge(self) -> None:
        """Say that the engine saw something happen to the container, so it is looked at now."""
        self.nudged.set()


class Starter:
    """Starts containers. Holds no state of any of them."""

    def __init__(self, engine: Engine, client: Client, key: bytes, timeout_s: float) -> None:
        self._engine = engine
        self._client = client
        self._key = key
        self._timeout_s = timeout_s

    def server(self, live: Observation) -> Server | None:
        """The OpenCode server of a running container, to be asked things."""
        if live.address is None:
            return None
        return Server(self._client, live.address, opencode.password(self._key, live.nonce))

    async def start(
        self, order: Order, generation: int, progress: Progress
    ) -> tuple[Observation, Timings]:
        """Bring the container to ready. Raises StartFailed, after which it does not run,
        unless the engine fails even at that."""
        began = anyio.current_time()
        progress.tell(Phase.CREATING)
        try:
            created = await self._create(order, generation)
            password = opencode.password(self._key, created.nonce)
            environment = opencode.environment(order.agent, order.token, password)
            created_s = anyio.current_time() - began
            progress.tell(Phase.BOOTING)
            seen = await self._engine.start(order.session_id, environment)
            live, booted = await self._wait(seen, progress, began + self._timeout_s, environment)
        except EngineError as error:
            raise StartFailed(error.code, str(error)) from error
        ready_s = anyio.current_time() - began
        return live, _timings(created_s, booted - began - created_s, ready_s)

    async def adopt(self, seen: Observation, progress: Progress) -> Observation:
        """Wait for a container that runs already. Raises StartFailed, as `start` does."""
        progress.tell(Phase.CHECKING)
        deadline = anyio.current_time() + self._timeout_s
        try:
            live, _ = await self._wait(seen, progress, deadline, None)
        except EngineError as error:
            raise StartFailed(error.code, str(error)) from error
        return live

    async def _create(self, order: Order, generation: int) -> Observation:
        """Bring what is there to a container that is created and not running."""
        fingerprint = await self._engine.fingerprint(order.image, order.limits)
        seen = await self._engine.find(order.session_id)
        match way_to_start(seen, fingerprint):
            case Way.RESTART:
                await self._engine.stop(order.session_id)
            case Way.REPLACE:
                await self._engine.remove(order.session_id)
                seen = None
            case Way.CREATE | Way.START:
                pass
        if seen is not None:
            return seen
        nonce = secrets.token_hex(16)
        spec = Spec(order.session_id, generation, order.image, order.limits, nonce, fingerprint)
        return await self._engine.create(spec)

    async def _wait(
        self, seen: Observation, progress: Progress, deadline: float, known: Environment | None
    ) -> tuple[Observation, float]:
        """Wait until it serves; also give back when it first answered at all."""
        wait = _Wait(self, self._engine, seen, progress)
        try:
            with anyio.fail_after(deadline - anyio.current_time()):
                return await wait.until_ready()
        except TimeoutError:
            why = f"It was not ready within {self._timeout_s:g} s. {wait.last_word}"
            failure = StartFailed("start_timeout", why)
        except NotReady as reason:
            failure = StartFailed("container_failed", reason.why)
        raise await self._given_up(seen.session_id, failure, known)

    async def _given_up(
        self, session_id: str, failure: StartFailed, known: Environment | None
    ) -> StartFailed:
        """Stop what did not start, and add what it printed. Whatever the engine says to that, what
        went wrong before is what a person must know."""
        shown = await self._printed(session_id, known)
        try:
            await self._engine.stop(session_id)
        except EngineError as error:
            logger.warning("failed start not stopped session=%s: %s", session_id, error)
        if not shown:
            return failure
        return StartFailed(failure.problem, f"{failure.why} It printed last: {' | '.join(shown)}")

    async def _printed(self, session_id: str, known: Environment | None) -> list[str]:
        """An adopted container's secrets are not known, so its lines can't be cleared of them and
        are not shown."""
        if known is None:
            return []
        try:
            lines = await self._engine.last_lines(session_id)
        except EngineError:
            return []
        return opencode.redacted(lines, known.secrets)[-_LINES_SHOWN:]


@dataclass(slots=True)
class _Wait:
    """Asking one container until it is ready or has ended."""

    starter: Starter
    engine: Engine
    seen: Observation
    progress: Progress
    last_word: str = "Nothing answers on its port."
    looked_at: float = -math.inf

    async def until_ready(self) -> tuple[Observation, float]:
        """Raises NotReady when waiting longer can't help."""
        await self._until(lambda server: server.check_health(_HEALTH_TIMEOUT_S))
        answered_at = anyio.current_time()
        self.progress.tell(Phase.CHECKING)
        await self._until(lambda server: server.check_instance(_INSTANCE_TIMEOUT_S))
        return self.seen, answered_at

    async def _until(self, check: Check) -> None:
        while not await self._holds(check):
            with anyio.move_on_after(_ASK_EVERY_S):
                await self.progress.nudged.wait()
            await self._look()

    async def _holds(self, check: Check) -> bool:
        server = self.starter.server(self.seen)
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
        seen = await self.engine.find(self.seen.session_id)
        if seen is None or not seen.running:
            end = "It was removed." if seen is None else seen.end
            raise NotReady(f"It ended while it was starting. {end}", final=True)
        self.seen = seen


def _timings(create_s: float, boot_s: float, ready_s: float) -> Timings:
    return Timings(round(create_s, 3), round(boot_s, 3), round(ready_s, 3))
