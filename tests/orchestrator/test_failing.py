"""Containers that end, hang or can't work: noticed, told in words, and started again with care."""

from dataclasses import replace
from typing import Any

import anyio
import pytest

from orchestrator.background import Background
from orchestrator.checking import check
from orchestrator.containers import State, Usage
from orchestrator.engines.base import EngineError, EngineUnavailable
from orchestrator.errors import OrchestratorError
from orchestrator.supervisor import Supervisor
from tests.orchestrator.conftest import SESSION, Clock, Run, order, until_state, until_told
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.fake_opencode import FakeOpenCode, Manner

MESSAGE = {
    "info": {"id": "msg_1", "role": "assistant", "sessionID": "ses_1", "time": {"created": 1}},
    "parts": [],
}
CONVERSATION = {"id": "ses_1", "directory": "/workspace", "time": {"created": 1, "updated": 1}}


class Remembering(FakeOpenCode):
    """One whose volume holds a turn that has no end."""

    def __init__(self, password: str) -> None:
        super().__init__(password)
        remember(self.says)


def remember(says: dict[str, Any]) -> None:
    says["/experimental/session"] = [CONVERSATION]
    says["/session/ses_1/message"] = [MESSAGE]


async def crash(supervisor: Supervisor, engine: FakeEngine, clock: Clock) -> str:
    """Start it, let it end soon, and give back what is said of that."""
    await supervisor.ensure(order(), force=True)
    engine.containers[SESSION].lines = ["it used sk-secret", "and then it fell"]
    await engine.kill(SESSION, "It ended by itself with exit code 7.")
    await until_told(
        supervisor, lambda: supervisor.record(SESSION).state in (State.STOPPED, State.FAILED)
    )
    return supervisor.record(SESSION).why


async def test_ends_in_a_row_are_excused_once_then_put_off_then_left_until_a_person_asks(
    run: Run, engine: FakeEngine, clock: Clock
) -> None:
    async with run() as supervisor:
        ends = []
        for _ in range(5):
            await crash(supervisor, engine, clock)
            view = supervisor.view(SESSION)
            ends.append((view["state"], view["problem"], view["retry_after_s"]))
        with pytest.raises(OrchestratorError) as caught:
            await supervisor.ensure(order(), force=False)

        assert (await supervisor.ensure(order(), force=True)).state is State.READY
    assert ends == [
        ("stopped", None, None),
        ("failed", "container_failed", 1),
        ("failed", "container_failed", 2),
        ("failed", "container_failed", 4),
        ("failed", "crash_loop", None),
    ]
    assert (caught.value.code, caught.value.status) == ("crash_loop", 502)


async def test_an_end_that_is_not_the_first_is_told_with_its_last_lines_redacted(
    run: Run, engine: FakeEngine, clock: Clock
) -> None:
    async with run() as supervisor:
        first = await crash(supervisor, engine, clock)
        second = await crash(supervisor, engine, clock)

    assert "printed last" not in first
    assert "exit code 7. It printed last: it used [hidden] | and then it fell" in second
    assert "sk-secret" not in first + second


async def test_a_frozen_one_that_ended_once_too_often_is_not_started_by_a_request(
    run: Run, engine: FakeEngine, clock: Clock
) -> None:
    async with run() as supervisor:
        for _ in range(4):
            await crash(supervisor, engine, clock)
        await supervisor.ensure(order(), force=True)
        await engine.freeze(SESSION)
        await until_state(supervisor, State.FROZEN)
        await engine.lose(SESSION)
        with pytest.raises(OrchestratorError) as caught:
            await supervisor.ensure(order(), force=False)

        assert (caught.value.code, supervisor.record(SESSION).crashes) == ("crash_loop", 5)


async def test_of_a_server_that_has_just_died_the_engines_word_counts(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor, anyio.create_task_group() as group:
        await supervisor.ensure(order(), force=False)
        asked = engine.calls["usage"]
        await engine.server(SESSION).close()
        group.start_soon(supervisor._owners[SESSION].probe)
        with anyio.fail_after(5):
            while engine.calls["usage"] == asked:
                await anyio.lowlevel.checkpoint()
        await engine.kill(SESSION, "It ended by itself: it was out of memory.")

    record = supervisor.record(SESSION)
    assert (record.state, "out of memory" in record.why) == (State.STOPPED, True)


async def test_one_that_lived_long_before_it_ended_is_excused_again(
    run: Run, engine: FakeEngine, clock: Clock
) -> None:
    async with run() as supervisor:
        for _ in range(2):
            await crash(supervisor, engine, clock)
        await supervisor.ensure(order(), force=True)
        clock.pass_by(600)
        await engine.kill(SESSION)

        assert (await until_state(supervisor, State.STOPPED)).crashes == 1


async def test_crashes_are_remembered_by_the_next_run(
    run: Run, engine: FakeEngine, clock: Clock
) -> None:
    for expected in (1, 2):
        async with run() as supervisor:
            await crash(supervisor, engine, clock)
            assert supervisor.record(SESSION).crashes == expected


async def test_a_stop_forgets_the_crashes(run: Run, engine: FakeEngine, clock: Clock) -> None:
    async with run() as supervisor:
        for _ in range(5):
            await crash(supervisor, engine, clock)
        await supervisor.stop(SESSION)

        assert (await supervisor.ensure(order(), force=False)).state is State.READY


async def test_what_hangs_is_asked_twice_then_failed_and_stopped(
    run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.checking._TIMEOUT_S", 0.05)
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_told(supervisor, lambda: supervisor.view(SESSION)["version"] is not None)
        engine.server(SESSION).manner = Manner.MUTE
        before = engine.calls["usage"]
        await supervisor._owners[SESSION].probe()
        record = supervisor.record(SESSION)

    assert (record.state, record.problem) == (State.FAILED, "container_failed")
    assert record.why.startswith("It stopped answering: It does not answer in time.")
    assert engine.calls["usage"] - before == 2  # once for each answer that was missed
    assert not engine.containers[SESSION].seen.running


async def test_one_answer_that_is_missing_is_forgiven(
    run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.checking._TIMEOUT_S", 0.2)
    async with run() as supervisor, anyio.create_task_group() as group:
        await supervisor.ensure(order(), force=False)
        server = engine.server(SESSION)
        server.manner = Manner.MUTE
        asked = len(server.asked)
        group.start_soon(supervisor._owners[SESSION].probe)
        with anyio.fail_after(5):
            while len(server.asked) == asked:
                await anyio.lowlevel.checkpoint()
        server.manner = Manner.HEALTHY

    assert supervisor.record(SESSION).state is State.READY


async def test_one_that_works_is_given_more_time_to_answer(
    run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.checking._TIMEOUT_S", 0.02)
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_told(supervisor, lambda: supervisor.view(SESSION)["version"] is not None)
        await until_told(supervisor, lambda: supervisor.view(SESSION)["idle_since"] is not None)
        server = engine.server(SESSION)
        server.tell("session.status", sessionID="ses_1", status={"type": "busy"})
        await until_told(supervisor, lambda: bool(supervisor.view(SESSION)["busy"]))
        server.manner = Manner.MUTE
        before = engine.calls["usage"]
        await supervisor._owners[SESSION].probe()

    assert engine.calls["usage"] - before == 12


async def test_a_miss_that_comes_after_a_new_start_is_about_the_old_one_and_ignored(
    run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.checking._TIMEOUT_S", 0.02)
    monkeypatch.setattr("orchestrator.checking._WORD_S", 0.01)
    async with run() as supervisor, anyio.create_task_group() as group:
        await supervisor.ensure(order(), force=False)
        engine.server(SESSION).manner = Manner.MUTE
        lock = anyio.Lock()
        async with lock:
            group.start_soon(check, supervisor._owners[SESSION].charge, lock)
            with anyio.fail_after(5):
                while not lock.statistics().tasks_waiting:
                    await anyio.lowlevel.checkpoint()
            await engine.kill(SESSION)
            await until_state(supervisor, State.STOPPED)
            await supervisor.ensure(order(), force=False)

    assert (supervisor.record(SESSION).state, supervisor.record(SESSION).generation) == ("ready", 2)


async def test_a_workspace_that_can_not_be_loaded_is_explained_and_not_restarted(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        engine.server(SESSION).manner = Manner.BROKEN
        await supervisor._owners[SESSION].probe()
        broken = supervisor.record(SESSION)

        engine.server(SESSION).manner = Manner.HEALTHY
        await supervisor._owners[SESSION].probe()
        mended = supervisor.record(SESSION)
    assert (broken.state, mended.state, mended.generation) == (State.READY, State.READY, 1)
    assert "ConfigJsonError in /workspace/opencode.json" in broken.why
    assert mended.why == "OpenCode answers."


async def test_what_runs_although_it_was_stopped_is_stopped_again(
    run: Run, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.checking._TIMEOUT_S", 0.02)
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        engine.server(SESSION).manner = Manner.MUTE
        engine.refuse("stop", EngineError("It is busy."))
        await supervisor._owners[SESSION].probe()
        assert engine.containers[SESSION].seen.running

        engine.relent("stop")
        await supervisor._rounds.look_at_all()
    assert not engine.containers[SESSION].seen.running


async def test_a_turn_that_a_kill_left_unfinished_is_told_until_one_begins_again(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await engine.kill(SESSION)
        await until_state(supervisor, State.STOPPED)
        engine.opencode = Remembering
        await supervisor.ensure(order(), force=False)
        await until_told(supervisor, lambda: bool(supervisor.view(SESSION)["interrupted"]))
        told = supervisor.view(SESSION)["interrupted"]

        busy = {"type": "busy"}
        engine.server(SESSION).tell("session.status", sessionID="ses_1", status=busy)
        await until_told(supervisor, lambda: bool(supervisor.view(SESSION)["busy"]))
        assert supervisor.view(SESSION)["interrupted"] == []
    assert "session.error" in [each["payload"]["type"] for each in told]
    assert {each["directory"] for each in told} == {"/workspace"}


async def test_what_was_left_unfinished_is_still_told_of_one_frozen_by_an_earlier_run(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await engine.kill(SESSION)
        await until_state(supervisor, State.STOPPED)
        engine.opencode = Remembering
        await supervisor.ensure(order(), force=False)
        await engine.freeze(SESSION)
        await until_state(supervisor, State.FROZEN)
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)

        await until_told(supervisor, lambda: bool(supervisor.view(SESSION)["interrupted"]))


async def test_after_an_orderly_stop_nothing_is_looked_for(run: Run, engine: FakeEngine) -> None:
    engine.opencode = Remembering
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_told(supervisor, lambda: supervisor.view(SESSION)["idle_since"] is not None)
        await supervisor.stop(SESSION)
        await supervisor.ensure(order(), force=False)
        await until_told(supervisor, lambda: supervisor.view(SESSION)["idle_since"] is not None)

        assert supervisor.view(SESSION)["interrupted"] == []


async def test_a_turn_that_runs_in_an_adopted_container_is_never_told_as_interrupted(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await engine.kill(SESSION)
        await until_state(supervisor, State.STOPPED)
        await supervisor.ensure(order(), force=False)
    remember(engine.server(SESSION).says)
    engine.server(SESSION).says["/session/status"] = {"ses_1": {"type": "busy"}}
    async with run() as supervisor, supervisor.listening() as listener:
        await until_told(supervisor, lambda: bool(supervisor.view(SESSION)["busy"]))
        supervisor.end_listening()
        told = [body async for change in listener.changes(60) if change for body in change[1:]]

    assert [body["interrupted"] for body in told if body.get("interrupted")] == []


async def test_what_it_uses_is_in_the_view(run: Run, engine: FakeEngine) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        engine.containers[SESSION].usage = Usage(300 << 20, 1.0)
        await supervisor._owners[SESSION].probe()

        assert supervisor.view(SESSION)["memory_bytes"] == 300 << 20


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (EngineError("It refuses."), "engine fake: It refuses."),
        (OrchestratorError("storage_unavailable", "The disk is full."), "The disk is full."),
        (RuntimeError("a mistake of ours"), "a mistake of ours"),
    ],
)
async def test_every_failure_in_the_background_stays_its_own(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture, error: Exception, told: str
) -> None:
    background, done = Background(engine), anyio.Event()

    async def fail() -> None:
        raise error

    async def succeed() -> None:
        done.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as background.group:
            background.spawn(fail)
            background.spawn(succeed)
            await done.wait()
    assert told in caplog.text


async def test_an_engine_that_sleeps_is_told_once_until_it_answers_again(
    engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    background = Background(engine)
    caplog.set_level("INFO")
    for _ in range(3):
        background.engine_failed(EngineUnavailable("It sleeps."))
    background.engine_answers()
    background.engine_answers()

    assert [each.getMessage() for each in caplog.records] == [
        "engine fake: It sleeps.",
        "engine fake answers again",
    ]


async def test_a_container_that_lost_its_network_is_not_called_ready(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        charge = supervisor._owners[SESSION].charge
        live = charge.record.live
        assert live is not None
        charge._ledger.record = replace(charge.record, live=replace(live, address=None))
        await supervisor._owners[SESSION].probe()

        assert supervisor.record(SESSION).state is State.FAILED
        assert "no address in its network" in supervisor.record(SESSION).why
