"""Whatever is asked and whatever happens, in any order and all at once: what always holds."""

import itertools
import tempfile
from contextlib import suppress

import anyio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from migrations import upgrade
from orchestrator import server
from orchestrator.containers import State
from orchestrator.engines.base import EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.lifecycle import TRANSITIONS
from orchestrator.starting import Starter
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor
from tests.orchestrator.conftest import KEY, SELDOM, SESSION, Clock, order
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.fake_opencode import Manner

STEPS = ["ensure", "wait", "stop", "remove", "kill", "probe", "engine", "manner", "look"]
REACHABLE = {(before, after) for before, row in TRANSITIONS.items() for after in row.values()}


class Run:
    """One supervisor under a random sequence of steps that do not wait for each other."""

    def __init__(self, supervisor: Supervisor, engine: FakeEngine, clock: Clock) -> None:
        self.supervisor = supervisor
        self.engine = engine
        self.clock = clock

    async def step(self, name: str) -> None:
        with suppress(OrchestratorError, EngineError):
            match name:
                case "ensure":
                    await self.supervisor.ensure(order(), force=True)
                case "stop":
                    await self.supervisor.stop(SESSION)
                case "remove":
                    await self.supervisor.remove(SESSION)
                case "kill":
                    await self.engine.kill(SESSION)
                case "probe":
                    await self.supervisor._probe_all()
                case "engine":
                    self.engine.answers = not self.engine.answers
                case "manner":
                    broken = self.engine.manner is Manner.BROKEN
                    self.engine.manner = Manner.HEALTHY if broken else Manner.BROKEN
                case "look":
                    await self.supervisor._look_at_all()

    async def settle(self) -> None:
        """In the end the engine answers again, and the supervisor looks at everything."""
        self.engine.answers, self.engine.manner = True, Manner.HEALTHY
        await self.supervisor._look_at_all()
        await self.supervisor._first_starts_settled()
        for owner in list(self.supervisor._owners.values()):
            async with owner._lock:
                pass  # whoever held it has written down what happened


@given(st.lists(st.sampled_from(STEPS), max_size=10))
@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
async def test_records_follow_the_table_and_agree_with_the_engine_in_the_end(
    steps: list[str],
) -> None:
    engine, clock = FakeEngine(), Clock()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite+aiosqlite:///{folder}/orchestrator.db"
        await upgrade(url, "orchestrator")
        store = await Store.open(url)
        async with server.client() as client:
            starter = Starter(engine, client, KEY, timeout_s=5)
            supervisor = Supervisor(engine, store, starter, KEY, clock, SELDOM)
            async with supervisor.running(), supervisor.listening() as listener:
                run = Run(supervisor, engine, clock)
                async with anyio.create_task_group() as group:
                    for name in ["ensure", "wait", *steps]:
                        group.start_soon(run.step, name)
                        await anyio.lowlevel.checkpoint()
                        if name == "wait":
                            await supervisor._first_starts_settled()
                await run.settle()

                supervisor._changes.close()
                told = [change async for change in listener.changes(60) if change]
                _states_follow_the_table([body for name, body in told if name == "session"])
                await _record_and_engine_agree(supervisor, engine, store)
        await store.aclose()
        await engine.aclose()


def _states_follow_the_table(views: list[dict[str, object]]) -> None:
    moves = [
        (before["state"], after["state"])
        for before, after in itertools.pairwise(views)
        if before["state"] != after["state"] and before["state"] != State.REMOVING
    ]
    assert set(moves) <= REACHABLE


async def _record_and_engine_agree(
    supervisor: Supervisor, engine: FakeEngine, store: Store
) -> None:
    stored = {record.session_id: record.state for record in await store.load()}
    owners = {each["session_id"]: each["state"] for each in supervisor.snapshot()["sessions"]}
    assert {key: state for key, state in owners.items() if state != "new"} == stored
    container = engine.containers.get(SESSION)
    running = container is not None and container.seen.running
    assert running == (owners.get(SESSION) == State.READY)
    if SESSION not in owners:
        assert (engine.containers, engine.written) == ({}, {})
