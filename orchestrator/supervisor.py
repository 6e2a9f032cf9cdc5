"""Owns every container's life: the owners, the tasks they run in, and what happens unasked.

It follows the engine's events, looks at everything from time to time, and asks ready containers
for their health. Each session is decided by its owner alone; this module knows no HTTP and no SQL.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import anyio
from anyio.abc import TaskGroup

from orchestrator import lifecycle
from orchestrator.changes import Changes, Listener
from orchestrator.containers import Observation, Order, Record, State
from orchestrator.engines.base import Engine, EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import Action
from orchestrator.owner import Owner, Tools
from orchestrator.starting import Starter
from orchestrator.store import Store
from orchestrator.views import view

logger = logging.getLogger(__name__)
_STARTS_AT_ONCE = 8
_ASKED_AT_ONCE = 32
_FIRST_LOOK_TIMEOUT_S = 15.0


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often the supervisor does by itself what events may have missed."""

    probe_s: float = 10.0
    reconcile_s: float = 30.0
    longest_wait_s: float = 30.0


class Supervisor:
    """Every session's container. Enter `running` before asking it for anything."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        starter: Starter,
        key: bytes,
        now: Callable[[], datetime] = utc_now,
        rhythm: Rhythm = Rhythm(),
    ) -> None:
        self.engine = engine
        self.engine_problem: str | None = None
        self._store = store
        self._starter = starter
        self._key = key
        self._now = now
        self._rhythm = rhythm
        self._owners: dict[str, Owner] = {}
        self._strays: set[str] = set()
        self._changes = Changes()
        self._group: TaskGroup | None = None
        self._places = anyio.CapacityLimiter(_STARTS_AT_ONCE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take over what an earlier run left, then look after it until the end.

        Containers outlive this on purpose: the next run adopts them.
        """
        async with anyio.create_task_group() as group:
            self._group = group
            await self._remember()
            with anyio.move_on_after(_FIRST_LOOK_TIMEOUT_S):
                await self._guarded(self._look_at_all)
                await self._first_starts_settled()
            group.start_soon(self._follow_events)
            group.start_soon(self._repeat, self._look_at_all, self._rhythm.reconcile_s)
            group.start_soon(self._repeat, self._probe_all, self._rhythm.probe_s)
            try:
                yield
            finally:
                self._changes.close()
                self.engine.hurry()
                group.cancel_scope.cancel()

    async def ensure(self, order: Order, *, force: bool) -> Record:
        return await self._owner(order.session_id, order.image).ensure(order, force=force)

    async def stop(self, session_id: str) -> Record:
        return await self._known(session_id).stop()

    async def verify(self, session_id: str) -> Record:
        return await self._known(session_id).verify()

    async def remove(self, session_id: str) -> None:
        """Also of a session nobody remembers: its container and volume may still be there."""
        await self._owner(session_id, "").remove()

    async def stop_all(self) -> None:
        """Stop what runs, if the engine answers."""
        try:
            await self.engine.ping()
        except EngineError as error:
            logger.warning("containers left running: %s", error)
            return
        async with anyio.create_task_group() as group:
            for owner in self._owners.values():
                group.start_soon(self._guarded, owner.stop)

    def record(self, session_id: str) -> Record:
        return self._known(session_id).record

    def view(self, record: Record) -> dict[str, Any]:
        return view(record, self._key, self._now())

    def snapshot(self) -> dict[str, Any]:
        return {"sessions": [self.view(owner.record) for owner in self._owners.values()]}

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
        tools = Tools(
            engine=self.engine,
            store=self._store,
            starter=self._starter,
            places=self._places,
            spawn=self._spawn,
            now=self._now,
            changed=lambda record: self._changes.tell("session", self.view(record)),
            removed=self._forget,
        )
        owner = self._owners[record.session_id] = Owner(record, tools)
        return owner

    def _forget(self, session_id: str) -> None:
        del self._owners[session_id]
        self._changes.tell("removed", {"session_id": session_id})

    async def _remember(self) -> None:
        for record in await self._store.load():
            self._own(record).lose_sight()

    async def _first_starts_settled(self) -> None:
        """Wait for what is being adopted, so that a reader's first snapshot can be acted on."""
        for owner in list(self._owners.values()):
            await owner.settled()

    async def _follow_events(self) -> None:
        wait = first = min(1.0, self._rhythm.longest_wait_s)
        while True:
            try:
                async with aclosing(self.engine.events()) as events:
                    async for session_id in events:
                        wait = first
                        self._spawn(self._look_for(session_id))
            except EngineError as error:
                self._engine_failed(error)
            await anyio.sleep(wait)
            wait = min(self._rhythm.longest_wait_s, wait * 2)

    def _look_for(self, session_id: str | None) -> Callable[[], Awaitable[None]]:
        """What an event calls for: a look at its session; at all, where events may be missed or
        the container is nobody's."""
        owner = self._owners.get(session_id or "")
        return self._look_at_all if owner is None else owner.look

    async def _look_at_all(self) -> None:
        shown = {seen.session_id: seen for seen in await self.engine.find_all()}
        self._engine_answers()
        async with anyio.create_task_group() as group:
            for session_id, owner in self._owners.items():
                if lifecycle.plan(owner.record, shown.get(session_id)) is not Action.NOTHING:
                    group.start_soon(self._guarded, owner.look)
        await self._remove_strays(shown)

    async def _remove_strays(self, shown: dict[str, Observation]) -> None:
        """Remove containers of no record, once two looks have found them; never their volume."""
        strays = shown.keys() - self._owners.keys()
        for session_id in strays & self._strays:
            logger.warning("container without a record removed session=%s", session_id)
            await self.engine.remove(session_id)
        self._strays = strays - self._strays

    async def _probe_all(self) -> None:
        limit = anyio.CapacityLimiter(_ASKED_AT_ONCE)

        async def probe(owner: Owner) -> None:
            async with limit:
                await owner.probe()

        async with anyio.create_task_group() as group:
            for owner in self._owners.values():
                if owner.record.state is State.READY:
                    group.start_soon(probe, owner)

    async def _repeat(self, work: Callable[[], Awaitable[None]], every_s: float) -> None:
        """Work at a steady beat, however long it takes: silence is counted in beats."""
        due = anyio.current_time()
        while True:
            due = max(due + every_s, anyio.current_time())
            await anyio.sleep_until(due)
            await self._guarded(work)

    def _spawn(self, work: Callable[[], Awaitable[None]]) -> None:
        assert self._group is not None, "the supervisor is not running"
        self._group.start_soon(self._guarded, work)

    async def _guarded(self, work: Callable[[], Awaitable[object]]) -> None:
        """Run one piece of background work; what fails there must not end all the others."""
        try:
            await work()
        except EngineError as error:
            self._engine_failed(error)
        except OrchestratorError as error:
            logger.warning("background work failed: %s", error.message)
        except Exception:  # the outermost wrapper: a mistake in one session's work stays its own
            logger.exception("background work failed")

    def _engine_failed(self, error: EngineError) -> None:
        if str(error) != self.engine_problem:
            logger.warning("engine %s: %s", self.engine.name, error)
        if error.code == "engine_unavailable":
            self.engine_problem = str(error)

    def _engine_answers(self) -> None:
        if self.engine_problem is not None:
            logger.info("engine %s answers again", self.engine.name)
        self.engine_problem = None
