"""Owns every container's life: the owners, what they share, and who listens to them.

What is asked for goes to the session's owner, who alone decides about it; what happens unasked is
`rounds`'. This module knows no HTTP and no SQL.
"""

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio

from orchestrator import lifecycle
from orchestrator.admission import Running
from orchestrator.background import Background
from orchestrator.changes import Changes, Listener
from orchestrator.charge import Tools
from orchestrator.containers import Order, Record, State
from orchestrator.engines.base import Engine, EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.gate import Gate
from orchestrator.metrics import Metrics
from orchestrator.owner import Owner
from orchestrator.pool import Pool
from orchestrator.rounds import USUAL, Rhythm, Rounds
from orchestrator.starting import Starter
from orchestrator.store import Store
from orchestrator.terms import Rules, Terms
from orchestrator.turns import Queue
from orchestrator.views import view

logger = logging.getLogger(__name__)
_FIRST_LOOK_TIMEOUT_S = 15.0
# Who ends the whole deployment does not wait for turns as one who stops a session does.
_LAST_DRAIN_S = 3.0
_COUNTED = (State.STARTING, State.READY, State.FROZEN, State.STOPPING)


def utc_now() -> datetime:
    return datetime.now(UTC)


class Supervisor:
    """Every session's container. Enter `running` before asking it for anything."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        starter: Starter,
        key: bytes,
        terms: Terms,
        now: Callable[[], datetime] = utc_now,
        rhythm: Rhythm = USUAL,
    ) -> None:
        self.engine = engine
        self._store = store
        self._key = key
        self._now = now
        self._owners: dict[str, Owner] = {}
        self._changes = Changes()
        self._queue = Queue(terms.starts_at_once)
        self._metrics = Metrics()
        self._background = Background(engine)
        self._pool = Pool(engine, store, starter, terms.spares, self._may_refill, self._for_spare)
        self._gate = Gate(engine, terms.allowance, self._counted, self._stop_first)
        self._rounds = Rounds(
            engine, self._owners, self._pool, self._background, rhythm, self._gate.relieve
        )
        self._tools = self._toolbox(starter, terms.rules)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take over what an earlier run left, then look after it until the end.

        Containers outlive this on purpose: the next run adopts them.
        """
        async with anyio.create_task_group() as group:
            self._background.group = group
            await self._remember()
            with anyio.move_on_after(_FIRST_LOOK_TIMEOUT_S):
                await self._background.guarded(self._rounds.look_at_all)
                await self._first_starts_settled()
            group.start_soon(self._rounds.run)
            group.start_soon(self._background.guarded, self._pool.run)
            try:
                yield
            finally:
                self._changes.close()
                group.cancel_scope.cancel()

    async def ensure(self, order: Order, *, force: bool) -> Record:
        return await self._owner(order.session_id, order.image).ensure(order, force=force)

    async def stop(self, session_id: str) -> Record:
        return await self._known(session_id).stop()

    async def verify(self, session_id: str) -> Record:
        return await self._known(session_id).verify()

    async def keep(self, session_id: str, for_s: float) -> Record:
        return await self._known(session_id).keep(for_s)

    async def remove(self, session_id: str) -> None:
        """Also of a session nobody remembers: its container and volume may still be there."""
        await self._owner(session_id, "").remove()

    def touched(self, session_ids: Iterable[str]) -> None:
        """Note who is being used, as the gateway reports it; strangers have nothing to keep."""
        for session_id in session_ids:
            owner = self._owners.get(session_id)
            if owner is not None:
                owner.touched("a request")

    async def stop_all(self) -> None:
        """Stop what runs, if the engine answers."""
        try:
            await self.engine.ping()
        except EngineError as error:
            logger.warning("containers left running: %s", error)
            return
        guarded = self._background.guarded
        async with anyio.create_task_group() as group:
            group.start_soon(guarded, self._pool.aclose)
            for owner in self._owners.values():
                group.start_soon(guarded, partial(owner.stop, drain_s=_LAST_DRAIN_S))

    def record(self, session_id: str) -> Record:
        return self._known(session_id).record

    def view(self, session_id: str) -> dict[str, Any]:
        return view(self._known(session_id).charge, self._key, self._now())

    def snapshot(self, only: Iterable[str] | None = None) -> dict[str, Any]:
        """All there is, or of it those that are named."""
        wanted = self._owners if only is None else [each for each in only if each in self._owners]
        return {"sessions": [self.view(session_id) for session_id in wanted]}

    def metrics(self) -> str:
        states = [owner.record.state for owner in self._owners.values()]
        return self._metrics.rendered(states, self._queue.waiting, len(self._pool.spares))

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Listener]:
        """All there is, then every change of it, with nothing lost in between."""
        listener = self._changes.listen(("snapshot", self.snapshot()))
        try:
            yield listener
        finally:
            self._changes.forget(listener)

    def end_listening(self) -> None:
        """Tell nobody anything more; who comes to listen hears how things stand, and the end."""
        self._changes.close()

    def _known(self, session_id: str) -> Owner:
        owner = self._owners.get(session_id)
        if owner is None:
            raise OrchestratorError("session_not_found", "No container is known for this session.")
        return owner

    def _owner(self, session_id: str, image: str) -> Owner:
        if session_id not in self._owners:
            self._own(lifecycle.born(session_id, image, self._now()))
        return self._owners[session_id]

    def _own(self, record: Record) -> Owner:
        owner = self._owners[record.session_id] = Owner(record, self._tools)
        return owner

    def _toolbox(self, starter: Starter, rules: Rules) -> Tools:
        return Tools(
            engine=self.engine,
            store=self._store,
            starter=starter,
            pool=self._pool,
            gate=self._gate,
            queue=self._queue,
            metrics=self._metrics,
            rules=rules,
            spawn=self._background.spawn,
            now=self._now,
            changed=self._tell,
            removed=self._forget,
        )

    def _tell(self, session_id: str) -> None:
        self._changes.tell("session", self.view(session_id))

    def _forget(self, session_id: str) -> None:
        del self._owners[session_id]
        self._changes.tell("removed", {"session_id": session_id})

    async def _remember(self) -> None:
        await self._pool.remember()
        for record in await self._store.load():
            self._own(record).charge.lose_sight()

    async def _first_starts_settled(self) -> None:
        """Wait for what is being adopted, so that a reader's first snapshot can be acted on."""
        for owner in list(self._owners.values()):
            await owner.settled()

    # What the gate and the pool ask

    def _counted(self) -> Iterator[Running]:
        """What uses memory now: sessions' containers and spares."""
        for session_id, owner in self._owners.items():
            if owner.record.state in _COUNTED:
                yield owner.charge.counted(session_id)
        ready = {spare.key for spare in self._pool.spares}
        for key in self._pool.tended():
            yield Running(key, None, State.READY if key in ready else State.STARTING, None)

    async def _stop_first(self, key: str, why: str) -> bool:
        owner = self._owners.get(key)
        try:
            return await (self._pool.remove(key) if owner is None else owner.give_way(why))
        except EngineError as error:
            self._background.engine_failed(error)
            return False

    async def _may_refill(self) -> bool:
        return self._queue.waiting == 0 and await self._gate.may_refill()

    def _for_spare(self, key: str) -> AbstractAsyncContextManager[None]:
        """A place among the starts; spares take their turn as one more user would."""
        return self._queue.place("", key, lambda *_: None)
