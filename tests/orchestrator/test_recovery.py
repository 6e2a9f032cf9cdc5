"""What the next run of the orchestrator makes of what an earlier one left, at each step."""

import anyio
import pytest

from orchestrator import lifecycle
from orchestrator.containers import Record, Spec, State
from orchestrator.errors import OrchestratorError
from orchestrator.store import Store
from tests.orchestrator.conftest import (
    LIMITS,
    SELDOM,
    SESSION,
    Clock,
    Run,
    Stopwatch,
    order,
    until_state,
)
from tests.orchestrator.fake_engine import FakeEngine

SPEC = Spec(SESSION, f"agent_{SESSION}", 1, "image", LIMITS, "nonce", "made")


async def test_the_next_run_adopts_a_ready_container_without_restarting_it(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        before = await supervisor.ensure(order(), force=False)
    async with run() as supervisor:
        adopted = supervisor.record(SESSION)

    assert (adopted.state, adopted.generation) == ("ready", 1)
    assert (adopted.live, engine.calls["start"]) == (before.live, 1)


async def test_a_container_that_ended_meanwhile_is_stopped_and_keeps_its_volume(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
    await engine.lose(SESSION)
    async with run() as supervisor:
        assert supervisor.record(SESSION).state is State.STOPPED
    assert list(engine.written) == [f"agent_{SESSION}"]


async def test_an_adopted_container_that_does_not_answer_failed(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
    await engine.server(SESSION).close()
    async with run(timeout_s=0.2) as supervisor:
        assert supervisor.record(SESSION).state is State.FAILED


async def test_a_start_that_was_cut_off_is_finished_by_the_next_run(
    run: Run, engine: FakeEngine
) -> None:
    engine.hold("start")
    with anyio.CancelScope() as crash:
        async with run() as supervisor, anyio.create_task_group() as group:
            group.start_soon(lambda: supervisor.ensure(order(), force=False))
            await engine.reached("start")
            crash.cancel()
    engine.release("start")
    async with run() as supervisor:
        assert supervisor.record(SESSION).state is State.STOPPED  # created, but it never ran

        record = await supervisor.ensure(order(), force=False)
        assert (record.state, record.generation, engine.calls["create"]) == ("ready", 2, 1)


async def test_a_removal_that_was_cut_off_is_finished_by_the_next_run(
    run: Run, engine: FakeEngine, store: Store
) -> None:
    engine.hold("remove")
    with anyio.CancelScope() as crash:
        async with run() as supervisor, anyio.create_task_group() as group:
            await supervisor.ensure(order(), force=False)
            group.start_soon(supervisor.remove, SESSION)
            await engine.reached("remove")
            crash.cancel()
    assert [record.state for record in await store.load()] == ["removing"]

    engine.release("remove")
    async with run() as supervisor:
        assert supervisor.snapshot() == {"sessions": []}
    assert (engine.containers, engine.written, await store.load()) == ({}, {}, [])


async def test_a_removal_the_engine_could_not_do_is_finished_once_it_answers(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        engine.answers = False
        with pytest.raises(Exception, match="does not answer"):
            await supervisor.remove(SESSION)
        engine.answers = True
        await supervisor._rounds.look_at_all()

        assert supervisor.snapshot() == {"sessions": []}
    assert engine.written == {}


async def test_a_stop_the_engine_could_not_do_is_finished_by_the_next_start(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        engine.answers = False
        with pytest.raises(Exception, match="does not answer"):
            await supervisor.stop(SESSION)
        assert supervisor.record(SESSION).state is State.STOPPING
        engine.answers = True

        record = await supervisor.ensure(order(), force=False)
    assert (record.state, record.generation) == ("ready", 2)


async def test_while_the_engine_sleeps_at_boot_nothing_counts_as_ready(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
    engine.answers = False
    async with run() as supervisor:
        assert supervisor.record(SESSION).state is State.STARTING
        with pytest.raises(OrchestratorError, match="does not answer"):
            await supervisor.ensure(order(), force=False)

        engine.answers = True
        record = await supervisor.ensure(order(), force=False)
    assert (record.state, record.generation, engine.calls["start"]) == ("ready", 1, 1)


async def test_a_container_without_a_record_is_removed_when_seen_twice_and_its_volume_never(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    await engine.create(SPEC)
    async with run() as supervisor:
        stopwatch.pass_by(SELDOM.reconcile_s)
        await supervisor._rounds.look_at_all()

    assert (engine.calls["remove"], engine.calls["remove_volume"]) == (1, 0)
    assert list(engine.written) == [f"agent_{SESSION}"]


async def test_two_looks_in_a_row_remove_no_stray(run: Run, engine: FakeEngine) -> None:
    """With a database that was put back, all containers are strays, and at the start all looks
    come within a moment."""
    await engine.create(SPEC)
    async with run() as supervisor:
        await supervisor._rounds.look_at_all()
        await supervisor._rounds.look_at_all()
    assert engine.calls["remove"] == 0


@pytest.mark.parametrize("state", [State.STARTING, State.STOPPING, State.REMOVING])
async def test_a_record_left_in_between_never_stays_there(
    run: Run, store: Store, clock: Clock, state: State
) -> None:
    now = clock()
    record = lifecycle.asked_to_start(lifecycle.born(SESSION, "image", now), order(), now)
    if state is State.STOPPING:
        record = lifecycle.asked_to_stop(record, "why", now)
    if state is State.REMOVING:
        record = lifecycle.asked_to_remove(record, now)
    await store.save(record)
    async with run() as supervisor:
        states = [view["state"] for view in supervisor.snapshot()["sessions"]]
    assert states == ([] if state is State.REMOVING else ["stopped"])


async def test_what_happened_counts_even_if_it_can_not_be_written_down(
    run: Run, engine: FakeEngine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: Record) -> None:
        raise OrchestratorError("storage_unavailable", "The disk is full.")

    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        monkeypatch.setattr(store, "save", full)
        await engine.kill(SESSION)
        await until_state(supervisor, State.STOPPED)

        with pytest.raises(OrchestratorError) as caught:
            await supervisor.ensure(order(), force=False)
        assert (caught.value.code, engine.calls["start"]) == ("storage_unavailable", 1)


async def test_what_ended_while_nobody_looked_is_not_at_rest(run: Run, engine: FakeEngine) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        assert not supervisor.view(SESSION)["at_rest"]
    await engine.lose(SESSION)
    async with run() as supervisor:
        assert (supervisor.view(SESSION)["state"], supervisor.view(SESSION)["at_rest"]) == (
            "stopped",
            False,
        )


async def test_what_was_stopped_on_purpose_is_at_rest(run: Run) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await supervisor.stop(SESSION)

        assert supervisor.view(SESSION)["at_rest"]
