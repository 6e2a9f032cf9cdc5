"""The owner of one session's container: every change of its record happens here, one at a time.

What is asked for (ensure, stop, remove), what is due (freeze, stop) and what happens (an end,
silence) queue up at one lock. How each is done stands in `rising`, `falling`, `resting` and
`checking`. This module knows no other session, no HTTP and no SQL.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio

from orchestrator import checking, falling, lifecycle, resting, rising
from orchestrator.attempt import Attempt, Work
from orchestrator.charge import Charge, Tools
from orchestrator.containers import Order, Record, State
from orchestrator.engines.base import EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.falling import removing
from orchestrator.ladder import Rung
from orchestrator.lifecycle import Event
from orchestrator.plan import Action, plan
from orchestrator.readiness import Progress

_ASK_AGAIN_S = 5.0
_SOON_S = 1.0
_HANDED_OVER = "This orchestrator ends; the next one goes on with the start. Try again in a moment."
_FILES_GONE = "Its files were removed by somebody else. It starts empty when it is needed."
_STOPPED_WHILE_STARTING = "It was stopped while it was starting."


class Owner:
    """One session's charge, and the only one who changes it."""

    def __init__(self, record: Record, tools: Tools) -> None:
        self.charge = Charge(record, tools)
        self._tools = tools
        self._lock = anyio.Lock()
        self._attempt: Attempt | None = None
        self._end: anyio.CancelScope | None = None
        self._unwanted = False
        self._removed = False

    @property
    def record(self) -> Record:
        return self.charge.record

    async def ensure(self, order: Order, *, force: bool) -> Record:
        """Return the record once ready; whoever comes during a start shares its outcome."""
        if self.charge.is_in(State.READY):
            return self.record
        if self.charge.is_in(State.REMOVING):
            raise removing()
        await self._joined(order, force=force)
        if self.charge.is_in(State.STOPPED):  # a wake had begun, and found it gone
            await self._joined(order, force=force)
        if self.charge.is_in(State.STARTING):
            raise OrchestratorError("standby", _HANDED_OVER, retry_after_s=_ASK_AGAIN_S)
        if not self.charge.is_in(State.READY):  # it was, and is no longer
            raise self.charge.failure()
        return self.record

    async def _joined(self, order: Order, *, force: bool) -> None:
        if self._attempt is None:
            if not force and lifecycle.is_too_early(self.record, self._tools.now()):
                raise self.charge.failure()
            self._begin(lambda attempt: rising.rise(self.charge, order, attempt))
        assert self._attempt is not None
        await self._outcome(self._attempt)

    async def stop(self, why: str = falling.STOPPED, drain_s: float | None = None) -> Record:
        """Stop it in order: see `falling`. Who waits for its start is told."""
        self._abandon(OrchestratorError("container_stopped", _STOPPED_WHILE_STARTING))
        async with self._lock:
            if self.charge.is_in(State.REMOVING):
                raise removing()
            await self._stop(why, drain_s)
            return self.record

    async def remove(self) -> None:
        """Delete container, volume and record. Once written down it is finished, if need be later:
        see `look`. Nothing is waited for: what would be lost is to be lost."""
        self._abandon(removing())
        self._unwanted = True
        if self._end is not None:
            self._end.cancel()
        async with self._lock:
            if self._removed:
                return
            if not self.charge.is_in(State.REMOVING):
                await self.charge.remove_asked()
            await falling.finish_removal(self.charge)
            self._removed = True

    async def keep(self, for_s: float) -> Record:
        """Keep it awake for so long from now on, however idle it is; while it starts or ends, from
        when it has: nobody waits for that here longer than a second."""
        if self.charge.is_in(State.REMOVING):
            raise removing()
        with anyio.move_on_after(_SOON_S) as soon:
            await self._keep(for_s)
        if soon.cancelled_caught:
            self._tools.spawn(lambda: self._keep(for_s))
        return self.record

    async def _keep(self, for_s: float) -> None:
        async with self._lock:
            if self.charge.is_in(State.REMOVING):
                raise removing()
            await self.charge.keep(for_s)
            if for_s and self.charge.is_in(State.FROZEN):
                await rising.wake(self.charge)

    def touched(self, what: str) -> None:
        """Somebody uses it. If it was frozen in the same moment, that was a mistake."""
        if self.charge.is_in(State.FROZEN) and self._attempt is None:
            self._begin(lambda _: rising.wake(self.charge))
        self.charge.attendant.touched(what)

    async def give_way(self, why: str) -> bool:
        """Stop it for another's sake, if it is still frozen and nobody is about to wake it; wait
        for the end of a stop that is under way."""
        if self._attempt is not None or not self.charge.is_in(State.FROZEN, State.STOPPING):
            return False
        async with self._lock:
            if self.charge.is_in(State.FROZEN):
                await self._stop(why, 0.0)
            return self.charge.is_in(State.STOPPED)

    async def look(self) -> None:
        """See what the engine shows of it, and do what that calls for."""
        ending = self._end
        if ending is not None and not await self._still_runs():
            ending.cancel()
        if self._attempt is not None:
            self._attempt.progress.nudge()
            return
        async with self._lock:
            if self._removed:
                return
            seen = await self._tools.engine.find(self.record.session_id)
            action = plan(self.record, seen)
            if action is Action.ADOPT:
                self._begin(lambda attempt: rising.settle(self.charge, attempt))
            else:
                await falling.act(self.charge, action, seen)
                self._removed = action is Action.FINISH_REMOVAL

    async def files_gone(self) -> None:
        """Its volume is not there any more, though nobody here removed it."""
        async with self._lock:
            if self.charge.is_in(State.STOPPED):
                await self.charge.explained(_FILES_GONE)

    def is_due(self) -> bool:
        return self._attempt is None and not self._lock.locked() and resting.is_due(self.charge)

    async def step(self) -> None:
        """Take the step of the ladder that is due."""
        async with self._lock:
            step = self.charge.next_step()
            if resting.outgrew(self.charge):
                await self._recycle()
            elif step is not None and step.in_s == 0:
                match step.rung:
                    case Rung.FREEZE:
                        await resting.freeze(self.charge)
                    case Rung.STOP:
                        await self._stop("Nobody used it for long, so it was stopped.", None)
                    case Rung.REMOVE:
                        await falling.clear_away(self.charge)

    async def verify(self) -> Record:
        """Check now that a ready container answers; if it does not, it is ready no longer."""
        if self.charge.is_in(State.READY):
            await self.settled()  # what made it ready may not all be written down yet
        if self._attempt is None:
            with suppress(EngineError):  # while the engine sleeps, the container itself decides
                await self.look()
            await checking.check(self.charge, self._lock, doubted=True)
        return self.record

    async def probe(self) -> None:
        """Ask a ready container for its health, and see what it uses."""
        await checking.check(self.charge, self._lock)
        if self.charge.is_in(State.READY, State.FROZEN):
            await resting.look(self.charge)

    async def settled(self) -> None:
        """Wait for a start that is under way, whatever comes of it."""
        if self._attempt is not None:
            await self._attempt.done.wait()

    async def _outcome(self, attempt: Attempt) -> None:
        """Wait for a start, but in the queue no longer than for the start itself: it keeps its
        place, and who asks is told which."""
        with anyio.move_on_after(self._tools.starter.timeout_s):
            await attempt.outcome()
            return
        if self.charge.queue is not None:
            place, of = self.charge.queue
            why = f"It waits for its start as number {place} of {of}. Try again in a moment."
            told = {"place": place, "of": of, "retry_after_s": _ASK_AGAIN_S}
            raise OrchestratorError("start_queued", why, **told)
        await attempt.outcome()

    async def _stop(self, why: str, drain_s: float | None) -> None:
        """Under the lock: end its work in order, then stop it."""
        charge, orderly = self.charge, False
        if not charge.is_in(State.STOPPING):
            if not lifecycle.allows(self.record.state, Event.STOP_ASKED):
                return
            frozen = charge.is_in(State.FROZEN)
            await charge.stop_asked(falling.STOP_ASKED)
            with self._ending() as scope:
                if frozen:
                    with suppress(EngineError):  # then it is stopped without having been asked
                        await self._tools.engine.thaw(charge.session_id)
                if self._unwanted:
                    scope.cancel()
                limit_s = self._tools.rules.drain_s if drain_s is None else drain_s
                orderly = await falling.end_in_order(charge, limit_s, scope)
        await falling.finish_stop(charge, why, orderly=orderly)

    @contextmanager
    def _ending(self) -> Iterator[anyio.CancelScope]:
        """The orderly end is under way, and can be cut short from outside the lock."""
        self._end = anyio.CancelScope()
        try:
            yield self._end
        finally:
            self._end = None

    async def _recycle(self) -> None:
        """Stop a container that has grown too large, and start it again if its order is known."""
        order = self.charge.order
        await self._stop("It was stopped because its memory had grown.", None)
        if order is not None:
            self._begin(lambda attempt: rising.rise(self.charge, order, attempt))

    async def _still_runs(self) -> bool:
        seen = await self._tools.engine.find(self.record.session_id)
        return seen is not None and seen.running

    def _begin(self, work: Work) -> None:
        if self._attempt is not None:
            return  # somebody came meanwhile, whose attempt does the same
        attempt = Attempt(Progress(self.charge.enter))
        self._attempt = attempt
        self.charge.on_ready = attempt.served.set
        self._tools.spawn(lambda: self._run(attempt, work))

    async def _run(self, attempt: Attempt, work: Work) -> None:
        try:
            await attempt.run(work, self._lock)
        finally:
            self._attempt = None
            attempt.end()
            if attempt.progress.nudged.is_set() or self.charge.is_in(State.STARTING):
                # What happened after the start's last look nobody has seen yet; and one that was
                # given up in the middle, by a mistake of ours even, must not stand still there.
                self._tools.spawn(self.look)

    def _abandon(self, error: OrchestratorError) -> None:
        if self._attempt is not None:
            self._attempt.abandon(error)
