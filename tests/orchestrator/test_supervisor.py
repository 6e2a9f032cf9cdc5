"""What the supervisor does when it is asked, on an engine that can be held and made to fail."""

from collections.abc import Awaitable
from functools import partial
from typing import Any

import anyio
import pytest

from orchestrator.admission import Allowance
from orchestrator.containers import Limits, Phase, Record, Room, State
from orchestrator.engines.base import EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.rounds import Rhythm
from tests.orchestrator.conftest import SESSION, Clock, Run, order, terms, until_state
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.fake_opencode import Manner

OFTEN = Rhythm(probe_s=0.02, reconcile_s=0.02, longest_wait_s=0.02, step_s=0.02)


async def test_ensure_makes_a_container_that_answers(run: Run, engine: FakeEngine) -> None:
    async with run() as supervisor:
        record = await supervisor.ensure(order(), force=False)

    assert (record.state, record.generation, record.container_id) == ("ready", 1, "container-1")
    assert list(engine.written) == [f"agent_{SESSION}"]


async def test_fifty_at_once_make_one_container(run: Run, engine: FakeEngine) -> None:
    async with run() as supervisor, anyio.create_task_group() as group:
        for _ in range(50):
            group.start_soon(lambda: supervisor.ensure(order(), force=False))

    assert (engine.calls["create"], engine.calls["start"]) == (1, 1)


async def test_a_ready_container_is_given_without_asking_the_engine(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        engine.answers = False

        assert (await supervisor.ensure(order(), force=False)).state is State.READY


async def test_who_goes_away_does_not_end_the_start_others_wait_for(
    run: Run, engine: FakeEngine
) -> None:
    release = engine.hold("create")
    async with run() as supervisor, anyio.create_task_group() as waiting:
        with anyio.CancelScope() as first:
            waiting.start_soon(_until, engine, first)
            await supervisor.ensure(order(), force=False)
        release.set()

        assert (await supervisor.ensure(order(), force=False)).state is State.READY
    assert engine.calls["create"] == 1


async def _until(engine: FakeEngine, scope: anyio.CancelScope) -> None:
    await engine.reached("create")
    scope.cancel()


async def test_a_start_tells_its_phases(run: Run) -> None:
    async with run() as supervisor, supervisor.listening() as listener:
        await supervisor.ensure(order(), force=False)
        supervisor._changes.close()
        changes = [change async for change in listener.changes(60) if change is not None]

    told = [body["phase"] for name, body in changes if name == "session"]
    assert list(dict.fromkeys(told)) == [*list(Phase)[:4], None]


async def test_a_killed_container_leaves_ready_and_is_started_again(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await engine.kill(SESSION, "It was ended by signal 9.")
        stopped = await until_state(supervisor, State.STOPPED)

        again = await supervisor.ensure(order(), force=False)

    assert "signal 9" in stopped.why
    assert (again.state, again.generation, engine.calls["create"]) == ("ready", 2, 1)


async def test_a_start_whose_container_ends_fails_at_once_with_its_last_words_redacted(
    run: Run, engine: FakeEngine
) -> None:
    engine.manner = Manner.MUTE
    async with run(timeout_s=60) as supervisor, anyio.create_task_group() as group:
        group.start_soon(_kill_when_booting, engine)
        with pytest.raises(OrchestratorError) as caught:
            await supervisor.ensure(order(), force=False)

    assert caught.value.code == "container_failed"
    assert "exit code 7" in caught.value.message
    assert "the key [hidden] was refused" in caught.value.message


async def _kill_when_booting(engine: FakeEngine) -> None:
    with anyio.fail_after(5):
        while SESSION not in engine.containers or not engine.containers[SESSION].seen.running:
            await anyio.lowlevel.checkpoint()
    engine.containers[SESSION].lines = ["\x1b[31mthe key sk-secret was refused\x1b[0m"]
    await engine.kill(SESSION, "It ended by itself with exit code 7.")


@pytest.mark.parametrize(
    ("manner", "code", "words"),
    [
        (Manner.STRANGER, "start_timeout", "not a healthy OpenCode server"),
        (Manner.MUTE, "start_timeout", "not ready within 0.3 s"),
        (Manner.BROKEN, "container_failed", "ConfigJsonError in /workspace/opencode.json"),
    ],
)
async def test_what_does_not_serve_is_not_ready_and_is_stopped(
    run: Run, engine: FakeEngine, manner: Manner, code: str, words: str
) -> None:
    engine.manner = manner
    async with run(timeout_s=0.3) as supervisor:
        with pytest.raises(OrchestratorError) as caught:
            await supervisor.ensure(order(), force=False)

        assert (caught.value.code, words in caught.value.message) == (code, True)
        assert supervisor.record(SESSION).state is State.FAILED
        assert not engine.containers[SESSION].seen.running


@pytest.mark.parametrize("method", ["last_lines", "stop"])
async def test_why_a_start_failed_is_told_even_if_the_engine_refuses_to_clear_up(
    run: Run, engine: FakeEngine, method: str
) -> None:
    engine.manner = Manner.BROKEN
    engine.refuse(method, EngineError("There is no such container."))
    async with run() as supervisor:
        with pytest.raises(OrchestratorError, match="ConfigJsonError in /workspace"):
            await supervisor.ensure(order(), force=False)

    assert engine.calls["stop"] == 1


async def test_a_failed_start_is_not_tried_before_its_time_unless_forced(
    run: Run, engine: FakeEngine, clock: Clock
) -> None:
    engine.refuse("create", EngineError("The image it needs is not on this machine."))
    async with run() as supervisor:
        for _ in range(3):
            with pytest.raises(OrchestratorError, match="The image it needs") as caught:
                await supervisor.ensure(order(), force=False)
        assert (engine.calls["create"], caught.value.data["retry_after_s"]) == (1, 1.0)

        clock.pass_by(1)
        with pytest.raises(OrchestratorError) as caught:
            await supervisor.ensure(order(), force=False)
        assert (engine.calls["create"], caught.value.data["retry_after_s"]) == (2, 2.0)

        engine.relent("create")
        assert (await supervisor.ensure(order(), force=True)).state is State.READY


async def test_an_engine_that_does_not_answer_is_told_as_such(run: Run, engine: FakeEngine) -> None:
    async with run() as supervisor:
        engine.answers = False
        with pytest.raises(OrchestratorError) as caught:
            await supervisor.ensure(order(), force=False)

    assert (caught.value.code, caught.value.status) == ("engine_unavailable", 503)


async def test_a_changed_image_or_limit_makes_a_new_container_on_the_same_volume(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await supervisor.stop(SESSION)
        record = await supervisor.ensure(order(limits=Limits(2 << 30, 2.0, 99)), force=False)

    assert (record.generation, record.container_id) == (2, "container-2")
    assert engine.calls["remove_volume"] == 0


async def test_stop_ends_a_start_that_is_under_way(run: Run, engine: FakeEngine) -> None:
    engine.manner = Manner.MUTE
    engine.hold("start").set()
    async with run() as supervisor, anyio.create_task_group() as group:
        asking = supervisor.ensure(order(), force=False)
        group.start_soon(_expect_failure, asking, "container_stopped")
        await engine.reached("start")

        assert (await supervisor.stop(SESSION)).state is State.STOPPED
    assert not engine.containers[SESSION].seen.running


async def _expect_failure(asking: Awaitable[Record], code: str) -> None:
    with pytest.raises(OrchestratorError) as failed:
        await asking
    assert failed.value.code == code


async def test_stop_asks_opencode_to_end_in_order(run: Run, engine: FakeEngine) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        server = engine.server(SESSION)
        await supervisor.stop(SESSION)

    assert "POST /global/dispose" in server.asked


async def test_remove_during_a_start_leaves_nothing_behind(run: Run, engine: FakeEngine) -> None:
    engine.manner = Manner.MUTE
    engine.hold("start").set()
    async with run() as supervisor, anyio.create_task_group() as group:
        asking = supervisor.ensure(order(), force=False)
        group.start_soon(_expect_failure, asking, "session_removing")
        await engine.reached("start")
        await supervisor.remove(SESSION)

        assert supervisor.snapshot() == {"sessions": []}
    assert (engine.containers, engine.written) == ({}, {})


async def test_while_a_session_is_removed_it_can_not_be_started(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor, anyio.create_task_group() as group:
        await supervisor.ensure(order(), force=False)
        release = engine.hold("remove")
        group.start_soon(supervisor.remove, SESSION)
        await engine.reached("remove")

        with pytest.raises(OrchestratorError) as caught:
            await supervisor.ensure(order(), force=False)
        release.set()
    assert caught.value.code == "session_removing"


async def test_removing_what_nobody_knows_is_done_and_harmless(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.remove(SESSION)
        await supervisor.remove(SESSION)

        assert supervisor.snapshot() == {"sessions": []}


async def test_verify_finds_a_silent_container_and_it_leaves_ready(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await engine.server(SESSION).close()
        record = await supervisor.verify(SESSION)
        assert (record.state, record.problem) == ("failed", "container_failed")

        again = await supervisor.ensure(order(), force=False)
        assert (again.state, again.generation) == ("ready", 2)


async def test_verify_trusts_the_container_while_the_engine_sleeps(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        engine.answers = False
        assert (await supervisor.verify(SESSION)).state is State.READY

        await engine.server(SESSION).close()
        assert (await supervisor.verify(SESSION)).problem == "container_failed"


async def test_silent_containers_are_found_without_being_asked_for(
    run: Run, engine: FakeEngine
) -> None:
    async with run(rhythm=OFTEN) as supervisor:
        await supervisor.ensure(order(), force=False)
        engine.server(SESSION).manner = Manner.STRANGER

        record = await until_state(supervisor, State.FAILED)
    assert record.why.startswith("It stopped answering")


async def test_a_broken_stream_of_events_is_followed_again_and_nothing_is_missed(
    run: Run, engine: FakeEngine
) -> None:
    async with run(rhythm=Rhythm(60, 60, longest_wait_s=0.02)) as supervisor:
        await supervisor.ensure(order(), force=False)
        await engine.lose(SESSION)
        engine.break_events()

        assert "removed by somebody else" in (await until_state(supervisor, State.STOPPED)).why


async def test_two_hundred_requests_for_twenty_sessions_start_each_once_and_few_at_a_time(
    run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    starting: list[int] = []
    engine.memory = Room(64 << 30, 32 << 30)
    async with run(terms(starts_at_once=3)) as supervisor:
        start = supervisor._tools.starter.start

        async def counted(*given: Any) -> Any:
            states = [each["phase"] for each in supervisor.snapshot()["sessions"]]
            starting.append(len([phase for phase in states if phase not in (None, "queued")]))
            return await start(*given)

        monkeypatch.setattr(supervisor._tools.starter, "start", counted)
        async with anyio.create_task_group() as group:
            for number in range(200):
                each = order(f"{number % 20:032x}", user_id=f"{number % 5:032x}")
                group.start_soon(partial(supervisor.ensure, each, force=False))
        states = [each["state"] for each in supervisor.snapshot()["sessions"]]

    assert (states, engine.calls["create"]) == (["ready"] * 20, 20)
    assert max(starting) <= 2  # and the one that is counted


async def test_the_longest_frozen_is_stopped_to_make_room(run: Run, engine: FakeEngine) -> None:
    sessions = [f"{number:032x}" for number in range(3)]
    async with run(terms(allowance=Allowance(3, 0, 0, 0, 0))) as supervisor:
        for session_id in sessions:
            await supervisor.ensure(order(session_id), force=False)
        for session_id in sessions[1:]:
            await engine.freeze(session_id)
            await until_state(supervisor, State.FROZEN, session_id)
        await supervisor.ensure(order(), force=False)
        states = [supervisor.record(each).state for each in sessions]
        why = supervisor.record(sessions[1]).why

    assert states == [State.READY, State.STOPPED, State.FROZEN]
    assert why.startswith("It was stopped to make room for another session")


async def test_what_somebody_is_about_to_wake_does_not_give_way(
    run: Run, engine: FakeEngine
) -> None:
    other = "6" * 32
    async with run(terms(allowance=Allowance(1, 0, 0, 0, 0))) as supervisor:
        await supervisor.ensure(order(other), force=False)
        await engine.freeze(other)
        await until_state(supervisor, State.FROZEN, other)
        engine.hold("thaw")
        async with anyio.create_task_group() as group:
            group.start_soon(partial(supervisor.ensure, order(other), force=False))
            await engine.reached("thaw")
            with pytest.raises(OrchestratorError) as caught:
                await supervisor.ensure(order(), force=False)
            engine.release("thaw")

        assert supervisor.record(other).state is State.READY
    assert (caught.value.code, engine.calls["stop"]) == ("no_room", 0)


async def test_who_was_refused_may_come_again_at_once(run: Run, engine: FakeEngine) -> None:
    async with run(terms(allowance=Allowance(0, 0, 0, 0, 1 << 50))) as supervisor:
        with pytest.raises(OrchestratorError, match="of memory to spare"):
            await supervisor.ensure(order(), force=False)
        engine.memory = Room(1 << 52, 1 << 51)

        assert (await supervisor.ensure(order(), force=False)).state is State.READY


async def test_stop_all_stops_what_runs(run: Run, engine: FakeEngine) -> None:
    other = "6" * 32
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await supervisor.ensure(order(other), force=False)
        await supervisor.stop_all()

        states = {view["state"] for view in supervisor.snapshot()["sessions"]}
    assert states == {"stopped"}


async def test_the_end_does_not_ask_a_silent_engine_to_stop_each_container(
    run: Run, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        engine.answers = False

        await supervisor.stop_all()

    assert engine.calls["stop"] == 0
    assert "containers left running: The fake engine does not answer." in caplog.text
