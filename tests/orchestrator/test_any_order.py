"""Whatever is asked and whatever happens, in any order and all at once: what always holds."""

import itertools
import tempfile
from contextlib import suppress

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrations import upgrade
from orchestrator.containers import State, is_spare
from orchestrator.engines.base import EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import TRANSITIONS
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor
from tests.orchestrator.agreement import check_agreement
from tests.orchestrator.conftest import KEY, SELDOM, SESSION, Clock, order, starting, terms
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.fake_opencode import Manner
from tests.support.waiting import until

STEPS = [
    *("ensure", "wait", "stop", "remove", "kill", "probe", "engine", "manner", "look"),
    *("touch", "keep", "freeze", "freeze from outside", "thaw from outside", "claims"),
    *("kill a spare", "clear away"),
]
REACHABLE = {(before, after) for before, row in TRANSITIONS.items() for after in row.values()}


class Run:
    """One supervisor under a random sequence of steps that do not wait for each other."""

    def __init__(self, supervisor: Supervisor, engine: FakeEngine, clock: Clock) -> None:
        self.supervisor = supervisor
        self.engine = engine
        self.clock = clock

    async def step(self, name: str) -> None:
        with suppress(OrchestratorError, EngineError):
            if not await self._asked(name):
                await self._befallen(name)

    async def _asked(self, name: str) -> bool:
        """What people and the gateway do."""
        match name:
            case "ensure":
                await self.supervisor.ensure(order(), force=True)
            case "stop":
                await self.supervisor.stop(SESSION)
            case "remove":
                await self.supervisor.remove(SESSION)
            case "touch":
                self.supervisor.touched([SESSION])
            case "keep":
                await self.supervisor.keep(SESSION, 60)
            case _:
                return False
        return True

    async def _befallen(self, name: str) -> None:
        """What is due, and what others do."""
        match name:
            case "probe":
                await self.supervisor._rounds._probe_all()
            case "look":
                await self.supervisor._rounds.look_at_all()
            case "freeze":
                await self._freeze()
            case "clear away":
                await self._clear_away()
            case "kill":
                await self.engine.kill(SESSION)
            case "kill a spare":
                for key in filter(is_spare, list(self.engine.containers)):
                    await self.engine.kill(key)
            case "freeze from outside":
                await self.engine.freeze(SESSION)
            case "thaw from outside":
                await self.engine.thaw(SESSION)
            case _:
                self._turn(name)

    def _turn(self, switch: str) -> None:
        engine = self.engine
        match switch:
            case "engine":
                engine.answers = not engine.answers
            case "manner":
                broken = engine.manner is Manner.BROKEN
                engine.manner = Manner.HEALTHY if broken else Manner.BROKEN
            case "claims" if "claim" in engine._refusals:
                engine.relent("claim")
            case "claims":
                engine.refuse("claim", EngineError("It did not take its configuration."))

    async def _freeze(self) -> None:
        """What a step of the ladder does, whose being due another test looks at."""
        owner = self.supervisor._owners.get(SESSION)
        if owner is not None:
            async with owner._lock:
                if owner.charge.is_in(State.READY):
                    await self.engine.freeze(SESSION)
                    await owner.charge.frozen("Nothing happened for long.")

    async def _clear_away(self) -> None:
        self.clock.pass_by(1000)
        for owner in list(self.supervisor._owners.values()):
            await owner.step()

    async def settle(self) -> None:
        """In the end the engine answers again, and the supervisor looks at everything."""
        self.engine.answers, self.engine.manner = True, Manner.HEALTHY
        for _ in range(2):  # what ends while one looks is seen by the next
            await self.supervisor._rounds.look_at_all()
            await self.supervisor._first_starts_settled()
            for owner in list(self.supervisor._owners.values()):
                async with owner._lock:
                    pass  # whoever held it has written down what happened
        await self.supervisor._pool.aclose()


@given(st.lists(st.sampled_from(STEPS), max_size=12))
@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
async def test_records_follow_the_table_and_agree_with_the_engine_in_the_end(
    steps: list[str],
) -> None:
    engine, clock = FakeEngine(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/orchestrator.db"
        await upgrade(url, "orchestrator")
        store = await Store.open(url)
        async with starting(engine, timeout_s=5) as starter:
            rules = terms(spares=1)
            supervisor = Supervisor(engine, store, starter, KEY, rules, clock, SELDOM)
            async with supervisor.running(), supervisor.listening() as listener:
                run = Run(supervisor, engine, clock)
                await _until_filled(supervisor)
                async with anyio.create_task_group() as group:
                    for name in ["ensure", "wait", *steps]:
                        group.start_soon(run.step, name)
                        await anyio.lowlevel.checkpoint()
                        if name == "wait":
                            await supervisor._first_starts_settled()
                await run.settle()

                supervisor.end_listening()
                told = [change async for change in listener.changes(60) if change]
                _states_follow_the_table([body for name, body in told if name == "session"])
                await check_agreement(supervisor, engine, store)
        await store.aclose()
        await engine.aclose()


async def _until_filled(supervisor: Supervisor) -> None:
    async def is_filled() -> bool:
        return bool(supervisor._pool.spares)

    await until(is_filled, "there is a spare", within_s=5)


def _states_follow_the_table(views: list[dict[str, object]]) -> None:
    moves = [
        (before["state"], after["state"])
        for before, after in itertools.pairwise(views)
        if before["state"] != after["state"] and before["state"] != State.REMOVING
    ]
    assert set(moves) <= REACHABLE
