"""The owner of one session's container: every change of its record happens here, one at a time.

What is asked for (ensure, stop, remove) and what happens (an end, silence) queue up at one lock.
Asking an engine or a server takes time, so what comes back is checked against the generation it
was asked of. This module knows no other session, no HTTP and no SQL.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import anyio

from orchestrator import lifecycle
from orchestrator.attempt import Attempt, Spawn, Work
from orchestrator.containers import Observation, Order, Phase, Record, State, Timings
from orchestrator.engines.base import Engine, EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.ledger import Ledger
from orchestrator.lifecycle import Action, Event
from orchestrator.server import NotReady
from orchestrator.starting import Progress, Starter, StartFailed
from orchestrator.store import Store
from orchestrator.views import retry_after_s

_PROBE_TIMEOUT_S = 5.0
_MISSES_ALLOWED = 1


@dataclass(frozen=True, slots=True)
class Tools:
    """What every owner works with; the supervisor's, shared by all."""

    engine: Engine
    store: Store
    starter: Starter
    places: anyio.CapacityLimiter
    spawn: Spawn
    now: Callable[[], datetime]
    changed: Callable[[Record], None]
    removed: Callable[[str], None]


class Owner:
    """One session's record, and the only one who writes it."""

    def __init__(self, record: Record, tools: Tools) -> None:
        self._tools = tools
        self._ledger = Ledger(record, tools.store, tools.changed)
        self._lock = anyio.Lock()
        self._attempt: Attempt | None = None
        self._misses = 0
        self._removed = False

    @property
    def record(self) -> Record:
        return self._ledger.record

    async def ensure(self, order: Order, *, force: bool) -> Record:
        """Return the record once ready; whoever comes during a start shares its outcome."""
        if self._is(State.READY):
            return self.record
        if self._is(State.REMOVING):
            raise _removing()
        if self._attempt is None:
            self._refuse_too_early(force)
            self._begin(lambda attempt: self._start(order, attempt))
        assert self._attempt is not None
        await self._attempt.outcome()
        if not self._is(State.READY):  # it was, and is no longer
            raise self._failure(None)
        return self.record

    async def stop(self) -> Record:
        self._abandon(
            OrchestratorError("container_stopped", "It was stopped while it was starting.")
        )
        async with self._lock:
            if self._is(State.REMOVING):
                raise _removing()
            if not self._is(State.STOPPING):
                if not lifecycle.allows(self.record.state, Event.STOP_ASKED):
                    return self.record
                live = self.record.live
                await self._ledger.intend(lifecycle.asked_to_stop(self.record, self._tools.now()))
                await self._dispose(live)
            await self._finish_stop()
            return self.record

    async def remove(self) -> None:
        """Delete container, volume and record. Once written down it is finished, if need be later:
        see `look`."""
        self._abandon(_removing())
        async with self._lock:
            if self._removed:
                return
            if not self._is(State.REMOVING):
                await self._ledger.intend(lifecycle.asked_to_remove(self.record, self._tools.now()))
            await self._finish_removal()

    async def look(self) -> None:
        """See what the engine shows of it, and do what that calls for."""
        if self._attempt is not None:
            self._attempt.progress.nudge()
            return
        async with self._lock:
            if self._removed:
                return
            seen = await self._tools.engine.find(self.record.session_id)
            await self._act(lifecycle.plan(self.record, seen), seen)

    async def verify(self) -> Record:
        """Check now that a ready container answers; if it does not, it is ready no longer."""
        if self._attempt is None:
            with suppress(EngineError):  # while the engine sleeps, the container itself decides
                await self.look()
            await self.probe(misses_allowed=0)
        return self.record

    async def probe(self, misses_allowed: int = _MISSES_ALLOWED) -> None:
        """Ask a ready container for its health, without holding up what happens meanwhile."""
        asked = self.record
        if asked.state is not State.READY or asked.live is None:
            return
        server = self._tools.starter.server(asked.live)
        try:
            if server is not None:
                await server.check_health(_PROBE_TIMEOUT_S)
            self._misses = 0
        except NotReady as reason:
            async with self._lock:
                await self._missed(asked, reason, misses_allowed)

    async def settled(self) -> None:
        """Wait for a start that is under way, whatever comes of it."""
        if self._attempt is not None:
            await self._attempt.done.wait()

    def lose_sight(self) -> None:
        """At the orchestrator's own start: what was ready is to be looked at first."""
        if self._is(State.READY):
            self._ledger.record = lifecycle.lost_sight(self.record, self._tools.now())

    def _is(self, state: State) -> bool:
        return self.record.state is state

    def _refuse_too_early(self, force: bool) -> None:
        retry_at = self.record.retry_at
        if not force and retry_at is not None and self._tools.now() < retry_at:
            raise self._failure(None)

    def _failure(self, phase: Phase | None) -> OrchestratorError:
        record = self.record
        return OrchestratorError(
            record.problem or "container_failed",
            record.why,
            why=record.why,
            retry_after_s=retry_after_s(record, self._tools.now()),
            phase=phase,
        )

    def _begin(self, work: Work) -> Attempt:
        attempt = Attempt(Progress(self._ledger.enter))
        self._attempt = attempt
        self._tools.spawn(lambda: self._run(attempt, work))
        return attempt

    async def _run(self, attempt: Attempt, work: Work) -> None:
        try:
            await attempt.run(work, self._lock)
        finally:
            self._attempt = None
            attempt.done.set()
        if attempt.progress.nudged.is_set():
            # It happened after the start's last look, so nobody has looked since.
            await self.look()

    async def _start(self, order: Order, attempt: Attempt) -> None:
        await self._settle(attempt)
        if self._is(State.READY):
            return
        if self._is(State.REMOVING):
            raise _removing()
        await self._ledger.intend(
            lifecycle.asked_to_start(self.record, order.image, self._tools.now())
        )
        async with self._tools.places:
            try:
                live, timings = await self._tools.starter.start(
                    order, self.record.generation, attempt.progress
                )
            except StartFailed as failure:
                raise await self._start_failed(failure) from failure
        await self._answered(live, timings)

    async def _settle(self, attempt: Attempt) -> None:
        """Finish what an earlier run or a silent engine left half done."""
        if self.record.state in (State.STARTING, State.STOPPING):
            seen = await self._tools.engine.find(self.record.session_id)
            if lifecycle.plan(self.record, seen) is Action.ADOPT and seen is not None:
                await self._adopt(seen, attempt)
            else:
                await self._act(lifecycle.plan(self.record, seen), seen)

    async def _adopt(self, seen: Observation, attempt: Attempt) -> None:
        try:
            live = await self._tools.starter.adopt(seen, attempt.progress)
        except StartFailed as failure:
            raise await self._start_failed(failure) from failure
        await self._answered(live, self.record.timings)

    async def _answered(self, live: Observation, timings: Timings) -> None:
        self._misses = 0
        await self._ledger.note(lifecycle.answered(self.record, live, timings, self._tools.now()))

    async def _act(self, action: Action, seen: Observation | None) -> None:
        match action:
            case Action.NOTHING:
                pass
            case Action.ADOPT:
                if self._attempt is None:  # a start that waits for the lock adopts it itself
                    self._begin(self._settle)
            case Action.MARK_GONE:
                await self._ledger.note(lifecycle.gone(self.record, _end(seen), self._tools.now()))
            case Action.FINISH_STOP:
                await self._finish_stop()
            case Action.FINISH_REMOVAL:
                await self._finish_removal()

    async def _missed(self, asked: Record, reason: NotReady, misses_allowed: int) -> None:
        if not self._is(State.READY) or self.record.generation != asked.generation:
            return  # the answer is about an earlier life of this container
        self._misses += 1
        if self._misses > misses_allowed:
            why = f"It stopped answering: {reason.why} It is started again when it is needed."
            await self._ledger.note(lifecycle.fell_silent(self.record, why, self._tools.now()))

    async def _dispose(self, live: Observation | None) -> None:
        server = live and self._tools.starter.server(live)
        if server:
            await server.dispose()

    async def _finish_stop(self) -> None:
        await self._tools.engine.stop(self.record.session_id)
        await self._ledger.note(lifecycle.stopped(self.record, self._tools.now()))

    async def _finish_removal(self) -> None:
        session_id = self.record.session_id
        await self._tools.engine.remove(session_id)
        await self._tools.engine.remove_volume(session_id)
        await self._ledger.erase()
        self._removed = True
        self._tools.removed(session_id)

    async def _start_failed(self, failure: StartFailed) -> OrchestratorError:
        phase = self.record.phase
        failed = lifecycle.start_failed(
            self.record, failure.problem, failure.why, self._tools.now()
        )
        await self._ledger.note(failed)
        return self._failure(phase)

    def _abandon(self, error: OrchestratorError) -> None:
        if self._attempt is not None:
            self._attempt.abandon(error)


def _end(seen: Observation | None) -> str:
    end = "It was removed by somebody else." if seen is None else seen.end
    return f"{end or 'It is not running.'} It is started again when it is needed."


def _removing() -> OrchestratorError:
    return OrchestratorError("session_removing", "This session is being deleted with its files.")
