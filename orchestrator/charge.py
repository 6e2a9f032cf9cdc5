"""One session's container as its owner has it: the record, its attendant, and what is kept beside.

Each method is one thing that happens to it, carried into record, attendant and metrics together.
Who may call them, and when, is the owner's business: nothing here takes a lock or asks an engine.
"""

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import anyio

from orchestrator import lifecycle
from orchestrator.admission import Running
from orchestrator.attendant import Attendant, Spawn
from orchestrator.containers import Observation, Order, Phase, Record, State, Timings
from orchestrator.engines.base import Engine
from orchestrator.errors import OrchestratorError
from orchestrator.gate import Gate
from orchestrator.ladder import Step, next_step
from orchestrator.ledger import Ledger
from orchestrator.metrics import Metrics
from orchestrator.pool import Pool
from orchestrator.starting import Starter, StartFailed
from orchestrator.store import Store
from orchestrator.terms import Rules
from orchestrator.turns import Queue

logger = logging.getLogger(__name__)
_AWAKE_S = 5.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What all sessions' containers are looked after with."""

    engine: Engine
    store: Store
    starter: Starter
    pool: Pool
    gate: Gate
    queue: Queue
    metrics: Metrics
    rules: Rules
    spawn: Spawn
    now: Callable[[], datetime]
    changed: Callable[[str], None]
    removed: Callable[[str], None]


class Charge:
    """`order` is the last one that it was started by, in this run: it may be needed again.

    `queue` is its place among those that wait for a start, and of how many.
    """

    def __init__(self, record: Record, tools: Tools) -> None:
        self.tools = tools
        self.order: Order | None = None
        self.queue: tuple[int, int] | None = None
        self.attendant = Attendant(tools.spawn, self.tell, tools.rules.policy.ask_wait_s)
        self._ledger = Ledger(record, tools.store, lambda _: self._became())
        self.on_ready: Callable[[], None] = lambda: None
        self._freeze_again = 0.0
        self._since = anyio.current_time()
        self._awake_until = self._awake_in_this_run(record)
        self._woken = -math.inf

    @property
    def record(self) -> Record:
        return self._ledger.record

    @property
    def session_id(self) -> str:
        return self.record.session_id

    def is_in(self, *states: State) -> bool:
        return self.record.state in states

    def _became(self) -> None:
        if self.is_in(State.READY):
            self.on_ready()
        self.tell()

    def tell(self) -> None:
        self.tools.changed(self.session_id)

    # What is asked for

    async def start_asked(self, order: Order) -> None:
        self.order = order
        await self._intend(lifecycle.asked_to_start(self.record, order, self.tools.now()))

    async def claim_begun(self, order: Order, spare: str, volume: str) -> None:
        """Start and claim are written down as one: a spare belongs to nobody, or to somebody."""
        self.order = order
        started = lifecycle.asked_to_start(self.record, order, self.tools.now())
        await self._intend(lifecycle.claiming(started, spare, volume))

    async def claim_failed(self) -> None:
        await self._note(lifecycle.claim_failed(self.record))

    async def stop_asked(self, why: str) -> None:
        await self._intend(lifecycle.asked_to_stop(self.record, why, self.tools.now()))

    async def remove_asked(self) -> None:
        await self._intend(lifecycle.asked_to_remove(self.record, self.tools.now()))

    async def keep(self, for_s: float) -> None:
        self._awake_until = anyio.current_time() + for_s
        until = self.tools.now() + timedelta(seconds=for_s) if for_s else None
        await self._intend(replace(self.record, awake_until=until))

    # What happened

    def enter(self, phase: Phase) -> None:
        self._ledger.enter(phase)

    def moved_up(self, place: int, of: int) -> None:
        self.queue = (place, of)
        self.tell()

    async def answered(self, live: Observation, timings: Timings, kind: str) -> None:
        """It was started, `cold` or `claimed`, and serves."""
        self.tools.metrics.started(kind, timings)
        await self._serves(live, timings, self.tools.now())

    async def adopted(self, live: Observation) -> None:
        """It ran already, and serves."""
        await self._serves(live, self.record.timings, self.record.booted_at)

    async def start_failed(self, failure: StartFailed) -> OrchestratorError:
        self.tools.metrics.happened("start_failed", failure.problem)
        phase, now = self.record.phase, self.tools.now()
        await self._note(lifecycle.start_failed(self.record, failure.problem, failure.why, now))
        return self.failure(phase)

    async def frozen(self, why: str) -> None:
        self.tools.metrics.happened("frozen")
        await self._note(lifecycle.frozen(self.record, why, self.tools.now()))

    async def thawed(self, live: Observation) -> None:
        self.tools.metrics.happened("woken")
        if self.attendant.activity is None:
            self._attend(live, look_back=not self.record.orderly)
        self._woken = anyio.current_time()
        await self._note(lifecycle.thawed(self.record, live, self.tools.now()))

    async def recognised(self, live: Observation) -> None:
        await self._note(lifecycle.recognised(self.record, live))

    async def ended(self, end: str) -> None:
        self.tools.metrics.happened("ended")
        self.attendant.leave()
        await self._note(lifecycle.ended(self.record, end, self.tools.now()))

    async def fell_silent(self, why: str) -> None:
        self.tools.metrics.happened("silent")
        self.attendant.leave()
        await self._note(lifecycle.fell_silent(self.record, why, self.tools.now()))

    async def stopped(self, why: str, *, orderly: bool) -> None:
        self.tools.metrics.happened("stopped")
        self.attendant.leave()
        self._awake_until = 0.0
        now = self.tools.now()
        await self._note(lifecycle.stopped(self.record, why, now, orderly=orderly))

    async def cleared(self, why: str) -> None:
        await self._note(lifecycle.cleared(self.record, why))

    async def explained(self, why: str) -> None:
        """Nothing moved, but there is more to say of it."""
        if why != self.record.why:
            await self._note(replace(self.record, why=why))

    async def erased(self) -> None:
        self.attendant.leave()
        await self._ledger.erase()
        self.tools.removed(self.session_id)

    def lose_sight(self) -> None:
        """At the orchestrator's own start: what was ready is to be looked at first."""
        if self.is_in(State.READY):
            self._ledger.record = lifecycle.lost_sight(self.record, self.tools.now())

    # What follows from it

    def next_step(self) -> Step | None:
        """What the ladder has next for it, and in how long."""
        record, now = self.record, anyio.current_time()
        match record.state:
            case State.READY:
                rest_s = self.attendant.rest_s()
            case State.STOPPED if record.container_id is None:
                rest_s = None  # there is nothing left to remove
            case State.STOPPED:
                # Days may pass, and runs of this program; and a wrong clock costs no file.
                rest_s = (self.tools.now() - record.since).total_seconds()
            case _:
                rest_s = now - self._since
        # Whoever listens again wakes it without using it; what is a use is reported within these.
        awake_s = max(0.0, self._awake_until - now, self._woken + _AWAKE_S - now)
        policy = self.tools.rules.policy
        if now < self._freeze_again:
            policy = policy.without_frost()
        return next_step(record.state, rest_s, policy, awake_s=awake_s)

    def rested_s(self) -> float | None:
        """How long nothing has happened, a wake included: what a person calls idle."""
        rest_s = self.attendant.rest_s()
        return None if rest_s is None else min(rest_s, anyio.current_time() - self._woken)

    def rest_awake(self, why: str) -> None:
        """It can't be frozen now, and is not asked to be before as long a rest again: some engines
        never can, and Linux's first cgroups can't for moments of a busy machine."""
        if not self._freeze_again:
            logger.warning("container can't be frozen session=%s: %s", self.session_id, why)
        self._freeze_again = anyio.current_time() + self.tools.rules.policy.freeze_after_s

    def counted(self, key: str) -> Running:
        """What it counts for where it is decided whether one more may start."""
        return Running(
            key,
            self.record.user_id,
            self.record.state,
            self.attendant.memory_bytes,
            frozen_since=self._frozen_since(),
            busy=bool(self.attendant.busy()),
            kept_awake=self._awake_until > anyio.current_time(),
        )

    def _frozen_since(self) -> float | None:
        """By the record, so that a restart of this program forgets no order among them."""
        if not self.is_in(State.FROZEN):
            return None
        return anyio.current_time() - (self.tools.now() - self.record.since).total_seconds()

    def failure(self, phase: Phase | None = None) -> OrchestratorError:
        record = self.record
        wait_s = lifecycle.retry_after_s(record, self.tools.now())
        told = {} if record.retry_at is None else {"retry_after_s": round(wait_s, 3)}
        return OrchestratorError(
            record.problem or "container_failed", record.why, why=record.why, phase=phase, **told
        )

    async def _serves(
        self, live: Observation, timings: Timings, booted_at: datetime | None
    ) -> None:
        answered = lifecycle.answered(self.record, live, timings, self.tools.now())
        await self._note(replace(answered, booted_at=booted_at))
        self._attend(live, look_back=not self.record.orderly)

    def _attend(self, live: Observation, *, look_back: bool) -> None:
        server = self.tools.starter.watched_server(live)
        if server is not None:
            booted = self.record.booted_at or self.tools.now()
            self.attendant.attend(
                server,
                booted,
                look_back=look_back,
                frozen=lambda: self.is_in(State.FROZEN),
            )

    async def _intend(self, record: Record) -> None:
        self._rest_anew(record)
        await self._ledger.intend(record)

    async def _note(self, record: Record) -> None:
        self._rest_anew(record)
        await self._ledger.note(record)

    def _rest_anew(self, record: Record) -> None:
        if record.state is not self.record.state:
            self._since = anyio.current_time()
        if record.state is not State.STARTING or record.phase is not Phase.QUEUED:
            self.queue = None

    def _awake_in_this_run(self, record: Record) -> float:
        if record.awake_until is None:
            return 0.0
        left_s = (record.awake_until - self.tools.now()).total_seconds()
        return anyio.current_time() + max(0.0, left_s)
