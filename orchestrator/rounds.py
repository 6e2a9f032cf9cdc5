"""What is done without anybody asking: hear the engine, look at everything, ask, take due steps.

It decides which session is to be looked at and leaves the rest to that session's owner. What the
engine shows and nobody owns is removed once it was seen twice; a volume never is.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

import anyio

from orchestrator.background import Background, Work
from orchestrator.containers import Observation, State, is_spare, name_of
from orchestrator.engines.base import Engine, EngineError
from orchestrator.owner import Owner
from orchestrator.plan import Action, plan
from orchestrator.pool import Pool

logger = logging.getLogger(__name__)
_ASKED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How often is done by itself what events may have missed."""

    probe_s: float = 10.0
    reconcile_s: float = 30.0
    longest_wait_s: float = 30.0
    step_s: float = 1.0


USUAL = Rhythm()


class Rounds:
    """`owners` is read afresh each time: it is the supervisor's and changes."""

    def __init__(
        self,
        engine: Engine,
        owners: Mapping[str, Owner],
        pool: Pool,
        background: Background,
        rhythm: Rhythm,
        relieve: Callable[[], Awaitable[None]],
    ) -> None:
        self._engine = engine
        self._owners = owners
        self._pool = pool
        self._background = background
        self._rhythm = rhythm
        self._relieve_memory = relieve
        self._askers = anyio.CapacityLimiter(_ASKED_AT_ONCE)
        self._asked: set[str] = set()
        self._strays: dict[str, float] = {}
        self._unknown: set[str] = set()
        self._told: set[str] = set()

    async def run(self) -> None:
        """Go round until cancelled."""
        repeat, rhythm = self._background.repeat, self._rhythm
        async with anyio.create_task_group() as group:
            group.start_soon(self._follow_events)
            group.start_soon(repeat, self.look_at_all, rhythm.reconcile_s)
            group.start_soon(repeat, self._probe_all, rhythm.probe_s)
            group.start_soon(repeat, self._take_steps, rhythm.step_s)
            group.start_soon(repeat, self._relieve_memory, rhythm.probe_s)

    async def look_at_all(self) -> None:
        shown = {seen.key: seen for seen in await self._engine.find_all()}
        self._background.engine_answers()
        async with anyio.create_task_group() as group:
            for session_id, owner in list(self._owners.items()):
                if plan(owner.record, shown.get(session_id)) is not Action.NOTHING:
                    group.start_soon(self._background.guarded, owner.look)
        await self._remove_strays(shown)
        await self._compare_volumes()

    async def _follow_events(self) -> None:
        wait = first = min(1.0, self._rhythm.longest_wait_s)
        while True:
            try:
                async with aclosing(self._engine.events()) as events:
                    async for key in events:
                        wait = first
                        self._background.spawn(self._look_for(key))
            except EngineError as error:
                self._background.engine_failed(error)
            await anyio.sleep(wait)
            wait = min(self._rhythm.longest_wait_s, wait * 2)

    def _look_for(self, key: str | None) -> Work:
        """What an event calls for: a look at its session; at all, where events may be missed or
        the container is nobody's."""
        if key is None:
            return self.look_at_all
        if is_spare(key):
            return lambda: self._pool.look(key)
        owner = self._owners.get(key)
        return self.look_at_all if owner is None else owner.look

    async def _remove_strays(self, shown: Mapping[str, Observation]) -> None:
        """Remove containers of no record, once two looks have found them that lie a round apart:
        with a database that was put back, all of them are strays. Never their volume."""
        now = anyio.current_time()
        strays = shown.keys() - self._owners.keys() - self._pool.tended() - self._claimed()
        self._strays = {key: self._strays.get(key, now) for key in strays}
        for key, seen_at in list(self._strays.items()):
            if now - seen_at >= self._rhythm.reconcile_s / 2:
                logger.warning("container without a record removed container=%s", name_of(key))
                await self._engine.remove(key)
                del self._strays[key]

    async def _compare_volumes(self) -> None:
        """Say once which volumes nobody knows, which are somebody's files and are kept; and which
        sessions' files are gone, because they would begin anew without a word."""
        there = set(await self._engine.volumes())
        known = {owner.record.volume for owner in self._owners.values()}
        known |= {name_of(key) for key in self._pool.tended() | self._claimed()}
        unknown = there - known
        for volume in unknown & self._unknown - self._told:
            self._told.add(volume)
            logger.warning("volume of no session is kept volume=%s", volume)
        self._unknown = unknown  # one that is just being deleted is not seen twice
        for owner in list(self._owners.values()):
            has_run = owner.record.booted_at is not None
            if has_run and owner.record.volume not in there:
                await owner.files_gone()

    def _claimed(self) -> set[str]:
        """Spares that are on their way to a session."""
        return {each.record.claimed for each in self._owners.values() if each.record.claimed}

    async def _probe_all(self) -> None:
        """Have each asked by itself: one that hangs is waited for, and holds up nobody's turn."""
        for session_id, owner in list(self._owners.items()):
            if owner.record.state in (State.READY, State.FROZEN) and session_id not in self._asked:
                self._asked.add(session_id)
                self._background.spawn(partial(self._probe, session_id, owner))

    async def _probe(self, session_id: str, owner: Owner) -> None:
        try:
            async with self._askers:
                await owner.probe()
        finally:
            self._asked.discard(session_id)

    async def _take_steps(self) -> None:
        for owner in list(self._owners.values()):
            if owner.is_due():
                self._background.spawn(owner.step)
