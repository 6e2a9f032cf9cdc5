"""Freezing, waking, stopping and clearing away what nobody uses; a test lets the time pass."""

from dataclasses import replace
from functools import partial

import anyio
import pytest

from orchestrator.containers import State, Usage
from orchestrator.engines.base import EngineError, EngineUnavailable
from orchestrator.ladder import Policy
from orchestrator.supervisor import Supervisor
from tests.orchestrator.conftest import (
    SESSION,
    Clock,
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

POLICY = Policy(freeze_after_s=300, stop_after_s=7200, remove_after_s=86400, ask_wait_s=14400)
LADDER = terms(policy=POLICY)
DAY_S = 86400.0


async def rested(supervisor: Supervisor, engine: FakeEngine, stopwatch: Stopwatch) -> None:
    """Bring a container to where it has rested for as long as is needed."""
    await supervisor.ensure(order(), force=False)
    await until_followed(supervisor)
    await supervisor._owners[SESSION].probe()
    stopwatch.pass_by(301)


async def frozen(supervisor: Supervisor, engine: FakeEngine, stopwatch: Stopwatch) -> None:
    await rested(supervisor, engine, stopwatch)
    await take_steps(supervisor)
    assert supervisor.record(SESSION).state is State.FROZEN


async def until_followed(supervisor: Supervisor) -> None:
    await until_told(supervisor, lambda: supervisor.view(SESSION)["idle_since"] is not None)


async def until_busy(supervisor: Supervisor) -> None:
    await until_told(supervisor, lambda: bool(supervisor.view(SESSION)["busy"]))


async def test_it_is_frozen_after_its_rest_and_not_before(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_followed(supervisor)
        await supervisor._owners[SESSION].probe()
        stopwatch.pass_by(299)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.READY

        stopwatch.pass_by(2)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.FROZEN
    assert engine.containers[SESSION].seen.frozen


async def test_a_frozen_one_says_so_and_where_it_is_still_found(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await supervisor.ensure(order(), force=False)
        ready = supervisor.view(SESSION)
        await frozen(supervisor, engine, stopwatch)
        view = supervisor.view(SESSION)

    same = ("address", "credential", "generation", "container_id", "workspace")
    assert [view[name] for name in same] == [ready[name] for name in same]
    assert view["why"].startswith("Nothing happened for 300 s, so it was frozen.")
    assert (view["next"]["action"], view["next"]["in_s"]) == ("stop", pytest.approx(7200, abs=5))


async def test_what_works_is_not_frozen_however_long(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await rested(supervisor, engine, stopwatch)
        engine.server(SESSION).tell("session.status", sessionID="c", status={"type": "busy"})
        await until_busy(supervisor)
        stopwatch.pass_by(900)
        await take_steps(supervisor)

        assert supervisor.view(SESSION)["busy"] == ["a turn is running"]
        assert (supervisor.view(SESSION)["next"], engine.calls["freeze"]) == (None, 0)


async def test_a_question_keeps_it_awake_for_so_long_and_no_longer(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await rested(supervisor, engine, stopwatch)
        engine.server(SESSION).tell("session.status", sessionID="c", status={"type": "busy"})
        engine.server(SESSION).tell("permission.asked", id="p", sessionID="c")
        await until_told(
            supervisor, lambda: supervisor.view(SESSION)["busy"] == ["a permission is waiting"]
        )
        states = []
        for seconds in (14300.0, 200.0):
            stopwatch.pass_by(seconds)
            await take_steps(supervisor)
            states.append(supervisor.record(SESSION).state)
    assert states == [State.READY, State.FROZEN]


async def test_a_process_that_works_unheard_puts_freezing_off(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await rested(supervisor, engine, stopwatch)
        engine.containers[SESSION].usage = Usage(240 << 20, cpu_s=200.0)
        await take_steps(supervisor)

        assert (engine.calls["freeze"], supervisor.view(SESSION)["next"]["in_s"]) == (
            0,
            pytest.approx(300, abs=5),
        )


async def test_one_reading_alone_freezes_nothing(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_followed(supervisor)
        stopwatch.pass_by(301)
        await take_steps(supervisor)
        assert engine.calls["freeze"] == 0

        stopwatch.pass_by(1)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.FROZEN


async def test_a_terminal_that_prints_puts_freezing_off(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await rested(supervisor, engine, stopwatch)
        server = engine.server(SESSION)
        attendant = supervisor._owners[SESSION].charge.attendant

        async def is_noticed() -> bool:
            return attendant.activity is not None and bool(attendant.activity.work.terminals)

        server.cursors["pty_1"] = 100
        server.tell("pty.created", info={"id": "pty_1", "status": "running"})
        await until(is_noticed, "the terminal is noticed")
        await attendant.listen_to_terminals()
        for printed, calls in ((500, 0), (500, 1)):
            server.cursors["pty_1"] = printed
            stopwatch.pass_by(301)
            await take_steps(supervisor)
            assert engine.calls["freeze"] == calls


async def test_use_that_comes_while_the_engine_freezes_counts(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor, anyio.create_task_group() as group:
        await rested(supervisor, engine, stopwatch)
        release = engine.hold("freeze")
        group.start_soon(take_steps, supervisor)
        await engine.reached("freeze")
        supervisor.touched([SESSION])
        release.set()
        async with supervisor._owners[SESSION]._lock:
            pass

        assert supervisor.record(SESSION).state is State.READY
        assert not engine.containers[SESSION].seen.frozen


async def test_fifty_requests_wake_it_once_and_find_all_as_it_was(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await frozen(supervisor, engine, stopwatch)
        before = supervisor.record(SESSION)
        async with anyio.create_task_group() as group:
            for _ in range(50):
                group.start_soon(lambda: supervisor.ensure(order(), force=False))
        after = supervisor.record(SESSION)

    assert (after.state, engine.calls["thaw"], engine.calls["start"]) == (State.READY, 1, 1)
    assert (after.generation, after.container_id) == (before.generation, before.container_id)
    assert after.live == replace(before.live, frozen=False)  # type: ignore[type-var]


async def test_a_woken_one_rests_as_long_again_before_it_is_frozen(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await frozen(supervisor, engine, stopwatch)
        await supervisor.ensure(order(), force=False)
        supervisor.touched([SESSION])  # as the gateway reports of the request that woke it
        stopwatch.pass_by(290)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.READY
        step = supervisor.view(SESSION)["next"]
        assert (step["action"], step["in_s"]) == ("freeze", pytest.approx(10, abs=5))


async def test_a_report_of_use_wakes_what_was_frozen_in_the_same_moment(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await frozen(supervisor, engine, stopwatch)
        supervisor.touched([SESSION, "6" * 32])
        await until_state(supervisor, State.READY)


async def test_a_report_of_use_puts_freezing_off(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await rested(supervisor, engine, stopwatch)
        supervisor.touched([SESSION])
        await take_steps(supervisor)

        assert engine.calls["freeze"] == 0


async def test_what_was_frozen_and_has_ended_is_started_by_the_next_request(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await frozen(supervisor, engine, stopwatch)
        await engine.lose(SESSION)

        record = await supervisor.ensure(order(), force=False)
    assert (record.state, record.generation, engine.calls["create"]) == (State.READY, 2, 2)


async def test_what_can_not_be_woken_stays_frozen_and_the_reason_is_told(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await frozen(supervisor, engine, stopwatch)
        engine.refuse("thaw", EngineError("The freezer is stuck."))
        with pytest.raises(Exception, match="The freezer is stuck"):
            await supervisor.ensure(order(), force=False)
        assert supervisor.record(SESSION).state is State.FROZEN

        engine.relent("thaw")
        assert (await supervisor.ensure(order(), force=False)).state is State.READY


async def test_after_long_it_is_stopped_then_cleared_away_and_starts_on_its_volume(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch, clock: Clock
) -> None:
    async with run(LADDER) as supervisor:
        await frozen(supervisor, engine, stopwatch)
        server = engine.server(SESSION)
        stopwatch.pass_by(7201)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.STOPPED
        assert server.asked[-1] == "POST /global/dispose"

        clock.pass_by(DAY_S)
        await take_steps(supervisor)
        assert (engine.containers, list(engine.written)) == ({}, [f"agent_{SESSION}"])
        assert supervisor.view(SESSION)["next"] is None

        record = await supervisor.ensure(order(), force=False)
    assert (record.state, record.generation, engine.calls["remove"]) == (State.READY, 2, 1)
    assert list(engine.written) == [f"agent_{SESSION}"]


async def test_a_wall_clock_set_forward_freezes_and_stops_nothing(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch, clock: Clock
) -> None:
    async with run(LADDER) as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_followed(supervisor)
        await supervisor._owners[SESSION].probe()
        clock.pass_by(DAY_S)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.READY

        await frozen(supervisor, engine, stopwatch)
        clock.pass_by(DAY_S)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.FROZEN


async def test_what_is_kept_awake_is_not_frozen_until_the_time_is_over(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await rested(supervisor, engine, stopwatch)
        await supervisor.keep(SESSION, 3600)
        states = []
        for seconds in (3500.0, 101.0):
            stopwatch.pass_by(seconds)
            await take_steps(supervisor)
            states.append(supervisor.record(SESSION).state)
    assert states == [State.READY, State.FROZEN]


async def test_keeping_awake_wakes_and_nought_ends_it(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await frozen(supervisor, engine, stopwatch)
        assert (await supervisor.keep(SESSION, 3600)).state is State.READY
        assert supervisor.view(SESSION)["awake_until"] == "2026-01-02T04:04:05Z"

        await supervisor.keep(SESSION, 0)
        stopwatch.pass_by(301)
        await take_steps(supervisor)
        view = supervisor.view(SESSION)
    assert (view["state"], view["awake_until"]) == ("frozen", None)


async def test_being_kept_awake_ends_with_a_stop(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await supervisor.ensure(order(), force=False)
        await supervisor.keep(SESSION, 3600)
        await supervisor.stop(SESSION)
        await frozen(supervisor, engine, stopwatch)


async def test_the_next_run_keeps_it_awake_for_the_rest_of_the_time(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch, clock: Clock
) -> None:
    async with run(LADDER) as supervisor:
        await supervisor.ensure(order(), force=False)
        await supervisor.keep(SESSION, 3600)
    clock.pass_by(600)
    async with run(LADDER) as supervisor:
        await until_followed(supervisor)
        assert supervisor.view(SESSION)["next"]["in_s"] == pytest.approx(3000, abs=5)


async def test_the_next_run_knows_a_frozen_one_again_and_wakes_it(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await frozen(supervisor, engine, stopwatch)
        address = supervisor.view(SESSION)["address"]
    async with run(LADDER) as supervisor:
        view = supervisor.view(SESSION)
        assert (view["state"], view["address"]) == ("frozen", address)

        record = await supervisor.ensure(order(), force=False)
        await until_followed(supervisor)
    assert (record.generation, engine.calls["start"], engine.calls["thaw"]) == (1, 1, 1)


async def test_freezing_and_thawing_by_somebody_else_is_noted(run: Run, engine: FakeEngine) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await engine.freeze(SESSION)
        frozen = await until_state(supervisor, State.FROZEN)
        await engine.thaw(SESSION)
        await until_state(supervisor, State.READY)

    assert frozen.why.startswith("It was frozen by somebody else.")


@pytest.mark.parametrize("grown", [True, False])
async def test_one_that_has_grown_is_started_again_with_its_order_once_it_rests(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch, grown: bool
) -> None:
    async with run(terms(recycle_above_bytes=1 << 30)) as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_followed(supervisor)
        engine.containers[SESSION].usage = Usage(1 << (31 if grown else 30), 1.0)
        await supervisor._owners[SESSION].probe()
        await take_steps(supervisor)
        assert supervisor.record(SESSION).generation == 1  # it has just been used

        stopwatch.pass_by(3)
        await take_steps(supervisor)
        await supervisor._owners[SESSION].settled()
        record = supervisor.record(SESSION)
    assert (record.state, record.generation) == (State.READY, 2 if grown else 1)


async def test_one_that_has_grown_and_works_is_left_alone(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(terms(recycle_above_bytes=1 << 30)) as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_followed(supervisor)
        engine.server(SESSION).tell("session.status", sessionID="c", status={"type": "busy"})
        await until_busy(supervisor)
        engine.containers[SESSION].usage = Usage(2 << 30, 1.0)
        await supervisor._owners[SESSION].probe()
        stopwatch.pass_by(3)
        await take_steps(supervisor)

        assert supervisor.record(SESSION).generation == 1


async def test_what_can_not_be_frozen_rests_awake_until_it_is_stopped(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await rested(supervisor, engine, stopwatch)
        engine.refuse("freeze", EngineError("This machine has no freezer."))
        await take_steps(supervisor)
        view = supervisor.view(SESSION)
        assert (view["state"], view["next"]["action"]) == ("ready", "stop")

        stopwatch.pass_by(7300)
        await take_steps(supervisor)
        assert (supervisor.record(SESSION).state, engine.calls["freeze"]) == (State.READY, 2)
        await take_steps(supervisor)
    assert (supervisor.record(SESSION).state, engine.calls["freeze"]) == (State.STOPPED, 2)


async def test_what_could_not_be_frozen_is_after_as_long_a_rest_again(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    """Linux's first cgroups refuse it for moments of a busy machine."""
    async with run(LADDER) as supervisor:
        await rested(supervisor, engine, stopwatch)
        engine.refuse("freeze", EngineError("Unable to freeze."))
        await take_steps(supervisor)
        engine.relent("freeze")
        stopwatch.pass_by(299)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.READY

        stopwatch.pass_by(2)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.FROZEN


async def test_an_engine_that_sleeps_is_asked_again_to_freeze(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    async with run(LADDER) as supervisor:
        await rested(supervisor, engine, stopwatch)
        engine.refuse("freeze", EngineUnavailable("It sleeps."))
        with pytest.raises(EngineUnavailable):
            await take_steps(supervisor)
        engine.relent("freeze")
        await take_steps(supervisor)

        assert supervisor.record(SESSION).state is State.FROZEN


async def test_a_wake_alone_is_no_use(run: Run, engine: FakeEngine, stopwatch: Stopwatch) -> None:
    async with run(LADDER) as supervisor:
        await frozen(supervisor, engine, stopwatch)
        await supervisor.ensure(order(), force=False)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.READY

        stopwatch.pass_by(6)
        await take_steps(supervisor)
        assert supervisor.record(SESSION).state is State.FROZEN


async def test_who_keeps_it_awake_while_it_starts_does_not_wait_for_the_start(
    run: Run, engine: FakeEngine
) -> None:
    release = engine.hold("create")
    async with run(LADDER) as supervisor, anyio.create_task_group() as group:
        group.start_soon(partial(supervisor.ensure, order(), force=False))
        await engine.reached("create")
        await supervisor.keep(SESSION, 3600)
        assert supervisor.record(SESSION).state is State.STARTING

        release.set()
        await until_told(supervisor, lambda: supervisor.view(SESSION)["awake_until"] is not None)
