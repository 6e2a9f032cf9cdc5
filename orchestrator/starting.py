"""One start: from whatever an engine shows of a session to an OpenCode server that serves.

Steps and their deadlines are here; what a start means for the record is the owner's business.
This module knows no state and stores nothing.
"""

import logging
import secrets
from dataclasses import dataclass

import anyio

from orchestrator import opencode
from orchestrator.containers import (
    Environment,
    Observation,
    Order,
    Phase,
    Record,
    Spec,
    Timings,
)
from orchestrator.engines.base import Engine, EngineError
from orchestrator.plan import Way, way_to_start
from orchestrator.readiness import INSTANCE_TIMEOUT_S, Progress, Wait
from orchestrator.server import Client, NotReady, Server

logger = logging.getLogger(__name__)
_LINES_SHOWN = 5
_WARM_UPS = 2


class StartFailed(Exception):
    """It did not start; `problem` is the code and `why` the sentence for whoever asked."""

    def __init__(self, problem: str, why: str) -> None:
        super().__init__(why)
        self.problem = problem
        self.why = why


@dataclass(frozen=True, slots=True)
class Clients:
    """For questions, whose connections are not kept, and for streams, of which there are many."""

    questions: Client
    streams: Client


class Starter:
    """Starts containers, as somebody's or as nobody's yet. Holds no state of any of them."""

    def __init__(self, engine: Engine, clients: Clients, key: bytes, timeout_s: float) -> None:
        self._engine = engine
        self._clients = clients
        self._key = key
        self.timeout_s = timeout_s

    def server(self, live: Observation) -> Server | None:
        """The OpenCode server of a running container, to be asked things."""
        return self._server(self._clients.questions, live)

    def watched_server(self, live: Observation) -> Server | None:
        """The same, to be followed for as long as it lives."""
        return self._server(self._clients.streams, live)

    def _server(self, client: Client, live: Observation) -> Server | None:
        if live.address is None:
            return None
        return Server(client, live.address, self.password(live))

    def password(self, seen: Observation) -> str:
        """The password of a container's server."""
        return opencode.password(self._key, seen.nonce)

    async def start(
        self, order: Order, record: Record, progress: Progress
    ) -> tuple[Observation, Timings]:
        """Bring the session's own container to ready. Raises StartFailed, after which it does not
        run, unless the engine fails even at that."""
        began = anyio.current_time()
        progress.tell(Phase.CREATING)
        try:
            created = await self._create(order, record)
            created_at = anyio.current_time()
            password = self.password(created)
            environment = opencode.environment(order.agent, order.token, password)
            live, booted_at = await self._boot(created.key, environment, progress, began)
        except EngineError as error:
            raise StartFailed(error.code, str(error)) from error
        return live, _timings(began, created_at, booted_at)

    async def adopt(self, seen: Observation, progress: Progress) -> Observation:
        """Wait for a container that runs already. Raises StartFailed, as `start` does."""
        progress.tell(Phase.CHECKING)
        deadline = anyio.current_time() + self.timeout_s
        try:
            live, _ = await self._wait(seen, progress, deadline, None)
        except EngineError as error:
            raise StartFailed(error.code, str(error)) from error
        return live

    async def make_spare(self, spec: Spec) -> Observation:
        """Boot a container that is nobody's yet, warm. Raises StartFailed."""
        progress = Progress(lambda _: None)
        try:
            created = await self._engine.create(spec)
            password = self.password(created)
            environment = opencode.spare_environment(password)
            live, _ = await self._boot(created.key, environment, progress, anyio.current_time())
            await self._warm_up(live)
        except EngineError as error:
            raise StartFailed(error.code, str(error)) from error
        except NotReady as reason:
            raise StartFailed("container_failed", reason.why) from reason
        return live

    async def _warm_up(self, live: Observation) -> None:
        """Do what a claim will do, so that its code has run: a claim was seen to take 370 ms
        without, and 115 with. Loading the list of providers as well costs 70 MB, for nothing."""
        server = self.server(live)
        for _ in range(_WARM_UPS if server is not None else 0):
            assert server is not None
            await server.dispose()
            await server.fetch("/config", timeout_s=INSTANCE_TIMEOUT_S)
            await server.fetch("/session", timeout_s=INSTANCE_TIMEOUT_S)

    async def claim(
        self, spare: str, order: Order, progress: Progress
    ) -> tuple[Observation, Timings]:
        """Make a running spare the session's, told of its agent before its first request.

        What it had loaded as nobody's is dropped, so that the next instance reads the agent's
        configuration. Raises StartFailed, after which the spare must not be used any more.
        """
        began = anyio.current_time()
        identity = opencode.identity(order.agent, order.token)
        try:
            live = await self._engine.claim(spare, order.session_id, identity)
            bound_at = anyio.current_time()
            progress.tell(Phase.CHECKING)
            server = self.server(live)
            if server is None:
                raise StartFailed("container_failed", "The spare has no address any more.")
            await server.dispose()
            # Not only that it serves: that nobody works with no agent, or with a spare's settings.
            await server.check_provider(order.agent.provider, INSTANCE_TIMEOUT_S)
        except EngineError as error:
            raise StartFailed(error.code, str(error)) from error
        except NotReady as reason:
            raise StartFailed("container_failed", reason.why) from reason
        return live, _timings(began, bound_at, anyio.current_time())

    async def _create(self, order: Order, record: Record) -> Observation:
        """Bring what is there to a container that is created and not running."""
        key = order.session_id
        fingerprint = await self._engine.fingerprint(order.image, order.limits)
        seen = await self._engine.find(key)
        match way_to_start(seen, fingerprint, record.volume):
            case Way.RESTART:
                await self._engine.stop(key)
            case Way.REPLACE:
                await self._engine.remove(key)
                seen = None
            case Way.CREATE | Way.START:
                pass
        if seen is not None:
            return seen
        nonce = secrets.token_hex(16)
        spec = Spec(
            key, record.volume, record.generation, order.image, order.limits, nonce, fingerprint
        )
        return await self._engine.create(spec)

    async def _boot(
        self, key: str, environment: Environment, progress: Progress, began: float
    ) -> tuple[Observation, float]:
        progress.tell(Phase.BOOTING)
        seen = await self._engine.start(key, environment)
        return await self._wait(seen, progress, began + self.timeout_s, environment)

    async def _wait(
        self, seen: Observation, progress: Progress, deadline: float, known: Environment | None
    ) -> tuple[Observation, float]:
        """Wait until it serves; also give back when it first answered at all."""
        wait = Wait(self._engine, self.server, seen, progress)
        try:
            with anyio.fail_after(deadline - anyio.current_time()):
                return await wait.until_ready()
        except TimeoutError:
            why = f"It was not ready within {self.timeout_s:g} s. {wait.last_word}"
            failure = StartFailed("start_timeout", why)
        except NotReady as reason:
            failure = StartFailed("container_failed", reason.why)
        if wait.seen.address is None:  # it was taken off its network: only a new one has another
            await self._engine.remove(seen.key)
        raise await self._given_up(seen.key, failure, known)

    async def _given_up(
        self, key: str, failure: StartFailed, known: Environment | None
    ) -> StartFailed:
        """Stop what did not start, and add what it printed. Whatever the engine says to that, what
        went wrong before is what a person must know."""
        # An adopted container's secrets are not known, so its lines can't be cleared of them.
        said = "" if known is None else await self.printed(key, known.secrets)
        try:
            await self._engine.stop(key)
        except EngineError as error:
            logger.warning("failed start not stopped container=%s: %s", key, error)
        return StartFailed(failure.problem, f"{failure.why}{said}")

    async def printed(self, key: str, hidden: tuple[str, ...]) -> str:
        """The end of what a container printed, as a sentence to follow another, or nothing."""
        try:
            lines = await self._engine.last_lines(key)
        except EngineError:
            return ""
        shown = opencode.redacted(lines, hidden)[-_LINES_SHOWN:]
        return f" It printed last: {' | '.join(shown)}" if shown else ""


def _timings(began: float, created_at: float, booted_at: float) -> Timings:
    return Timings(
        create_s=round(created_at - began, 3),
        boot_s=round(booted_at - created_at, 3),
        ready_s=round(anyio.current_time() - began, 3),
    )
