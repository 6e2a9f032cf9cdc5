"""The orderly end: turns may finish, then they are aborted, then all is disposed of."""

from contextlib import suppress

import anyio
import pytest

from orchestrator.containers import State
from orchestrator.errors import OrchestratorError
from orchestrator.ladder import Policy
from orchestrator.owner import Owner
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor
from tests.orchestrator.conftest import (
    SESSION,
    Run,
    Stopwatch,
    order,
    take_steps,
    terms,
    until_state,
    until_told,
)
from tests.orchestrator.fake_engine import FakeEngine
from tests.support.waiting import until

BUSY = {"type": "busy"}
IDLE = {"type": "idle"}
PATIENT = terms(drain_s=60.0)


async def at_work(supervisor: Supervisor, engine: FakeEngine) -> None:
    """Bring a container to where a turn runs in it."""
    await supervisor.ensure(order(), force=False)
    await until_told(supervisor, lambda: supervisor.view(SESSION)["idle_since"] is not None)
    engine.server(SESSION).tell("session.status", sessionID="ses_1", status=BUSY)
    await until_told(supervisor, lambda: bool(supervisor.view(SESSION)["busy"]))


def asked(engine: FakeEngine) -> list[str]:
    """What the server was asked to do, apart from questions."""
    return [each for each in engine.server(SESSION).asked if each.startswith("POST")]


async def test_a_turn_finishes_before_its_server_is_stopped(run: Run, engine: FakeEngine) -> None:
    async with run(PATIENT) as supervisor, anyio.create_task_group() as group:
        await at_work(supervisor, engine)
        server = engine.server(SESSION)
        group.start_soon(supervisor.stop, SESSION)
        await until_state(supervisor, State.STOPPING)
        assert (engine.calls["stop"], asked(engine)) == (0, [])

        server.tell("session.status", sessionID="ses_1", status=IDLE)
        record = await until_state(supervisor, State.STOPPED)
    posts = [each for each in server.asked if each.startswith("POST")]
    assert (posts, record.orderly) == (["POST /global/dispose"], True)


async def test_while_it_drains_its_server_is_shown_with_what_it_does(
    run: Run, engine: FakeEngine
) -> None:
    async with run(PATIENT) as supervisor, anyio.create_task_group() as group:
        await at_work(supervisor, engine)
        address = supervisor.view(SESSION)["address"]
        group.start_soon(supervisor.stop, SESSION)
        await until_state(supervisor, State.STOPPING)
        view = supervisor.view(SESSION)
        engine.server(SESSION).tell("session.status", sessionID="ses_1", status=IDLE)

    assert (view["address"], view["busy"]) == (address, ["a turn is running"])


async def test_a_turn_that_takes_too_long_is_aborted_then_all_is_disposed_of(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(PATIENT) as supervisor, anyio.create_task_group() as group:
        await at_work(supervisor, engine)
        server = engine.server(SESSION)
        group.start_soon(supervisor.stop, SESSION)
        await until_state(supervisor, State.STOPPING)
        stopwatch.pass_by(61)

        async def is_aborted() -> bool:
            return any("abort" in each for each in server.asked)

        await until(is_aborted, "the turn is aborted", within_s=5)
        server.tell("session.status", sessionID="ses_1", status=IDLE)
        record = await until_state(supervisor, State.STOPPED)
    posts = [each for each in server.asked if each.startswith("POST")]
    assert posts == [
        "POST /session/ses_1/abort?directory=%252Fworkspace",
        "POST /global/dispose",
    ]
    assert record.orderly


async def test_what_does_not_even_abort_is_stopped_all_the_same(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(terms(drain_s=0)) as supervisor, anyio.create_task_group() as group:
        await at_work(supervisor, engine)
        server = engine.server(SESSION)
        group.start_soon(supervisor.stop, SESSION)

        async def is_aborted() -> bool:
            return any("abort" in each for each in server.asked)

        await until(is_aborted, "the turn is aborted", within_s=5)
        stopwatch.pass_by(6)
        record = await until_state(supervisor, State.STOPPED)
    assert not record.orderly


async def test_a_deletion_cuts_the_wait_short(run: Run, engine: FakeEngine, store: Store) -> None:
    async with run(PATIENT) as supervisor, anyio.create_task_group() as group:
        await at_work(supervisor, engine)
        group.start_soon(stop_unless_deleted, supervisor)
        await until_state(supervisor, State.STOPPING)
        with anyio.fail_after(5):
            await supervisor.remove(SESSION)

    assert (engine.containers, engine.written, await store.load()) == ({}, {}, [])


async def stop_unless_deleted(supervisor: Supervisor) -> None:
    with suppress(OrchestratorError):
        await supervisor.stop(SESSION)


@pytest.mark.parametrize("somebody_waits", [False, True])
async def test_a_container_that_ends_meanwhile_ends_the_wait(
    run: Run, engine: FakeEngine, somebody_waits: bool
) -> None:
    async with run(PATIENT) as supervisor:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                await at_work(supervisor, engine)
                group.start_soon(supervisor.stop, SESSION)
                await until_state(supervisor, State.STOPPING)
                if somebody_waits:
                    group.start_soon(lambda: supervisor.ensure(order(), force=False))
                    await anyio.lowlevel.checkpoint()
                await engine.kill(SESSION)
        expected = State.READY if somebody_waits else State.STOPPED
        assert supervisor.record(SESSION).state is expected
        assert not supervisor.record(SESSION).orderly


async def test_who_asks_during_the_wait_gets_a_new_start_after_it(
    run: Run, engine: FakeEngine
) -> None:
    async with run(PATIENT) as supervisor, anyio.create_task_group() as group:
        await at_work(supervisor, engine)
        server = engine.server(SESSION)
        group.start_soon(supervisor.stop, SESSION)
        await until_state(supervisor, State.STOPPING)
        group.start_soon(lambda: supervisor.ensure(order(), force=False))
        server.tell("session.status", sessionID="ses_1", status=IDLE)
        record = await until_state(supervisor, State.READY)

    assert (record.generation, engine.calls["stop"]) == (2, 1)


async def test_a_frozen_one_is_woken_to_end_in_order(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(terms(policy=Policy(300, 0, 0))) as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_told(supervisor, lambda: supervisor.view(SESSION)["idle_since"] is not None)
        await supervisor._owners[SESSION].probe()
        stopwatch.pass_by(301)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.FROZEN
        server = engine.server(SESSION)
        record = await supervisor.stop(SESSION)

    assert (record.state, record.orderly) == (State.STOPPED, True)
    assert server.asked[-1] == "POST /global/dispose"


async def test_what_ran_in_one_frozen_by_an_earlier_run_nobody_knows(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await engine.freeze(SESSION)
        await until_state(supervisor, State.FROZEN)
    async with run() as supervisor:
        record = await supervisor.stop(SESSION)

    assert (record.state, record.orderly) == (State.STOPPED, False)


async def test_the_end_of_the_whole_deployment_waits_for_turns_a_moment_only(
    run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.supervisor._LAST_DRAIN_S", 0.01)
    monkeypatch.setattr("orchestrator.ending._ABORT_S", 0.01)
    async with run(PATIENT) as supervisor:
        await at_work(supervisor, engine)
        with anyio.fail_after(5):
            await supervisor.stop_all()

        assert supervisor.record(SESSION).state is State.STOPPED


@pytest.mark.parametrize("late", [Owner.stop, Owner.keep])
async def test_what_is_asked_after_a_deletion_brings_nothing_back(
    run: Run, engine: FakeEngine, store: Store, late: object
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        owner = supervisor._owners[SESSION]
        await supervisor.remove(SESSION)
        with pytest.raises(OrchestratorError, match="being deleted"):
            await (owner.keep(60) if late is Owner.keep else owner.stop())

        assert (supervisor.snapshot(), await store.load()) == ({"sessions": []}, [])


async def test_use_that_is_reported_during_a_deletion_wakes_nothing(
    run: Run, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with run() as supervisor, anyio.create_task_group() as group:
        await supervisor.ensure(order(), force=False)
        await engine.freeze(SESSION)
        await until_state(supervisor, State.FROZEN)
        owner = supervisor._owners[SESSION]
        async with owner._lock:
            group.start_soon(supervisor.remove, SESSION)
            await anyio.lowlevel.checkpoint()
            supervisor.touched([SESSION])
        await owner.settled()

        assert supervisor.snapshot() == {"sessions": []}
    assert (engine.calls["thaw"], engine.calls["remove_volume"]) == (0, 1)
    assert "background work failed" not in caplog.text


async def test_a_look_and_a_request_in_the_same_moment_are_one_start(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
    engine.answers = False
    async with run() as supervisor:  # it is looked for, and its engine sleeps
        engine.answers = True
        owner = supervisor._owners[SESSION]
        engine.hold("find")
        async with anyio.create_task_group() as group:
            group.start_soon(owner.look)
            await engine.reached("find")
            group.start_soon(lambda: supervisor.ensure(order(), force=False))
            await anyio.lowlevel.checkpoint()
            first = owner._attempt
            engine.release("find")
            while owner._lock.locked() and owner._attempt is first:
                await anyio.lowlevel.checkpoint()
            assert owner._attempt in (first, None)
        assert supervisor.record(SESSION).generation == 1
