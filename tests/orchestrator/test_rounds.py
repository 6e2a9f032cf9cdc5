"""What the rounds find of volumes: files nobody knows, and sessions whose files are gone."""

import logging

import pytest

from orchestrator.containers import name_of
from tests.orchestrator.conftest import SESSION, Run, order
from tests.orchestrator.fake_engine import FakeEngine


async def test_a_session_whose_files_are_gone_says_so(run: Run, engine: FakeEngine) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await supervisor.stop(SESSION)
        await engine.remove_volume(name_of(SESSION))
        await supervisor._rounds.look_at_all()

        assert "files were removed by somebody else" in supervisor.record(SESSION).why


async def test_a_session_whose_files_are_there_keeps_its_reason(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await supervisor.stop(SESSION)
        await supervisor._rounds.look_at_all()

        assert "Its files are kept" in supervisor.record(SESSION).why


async def test_a_volume_of_no_session_is_told_once_and_kept(
    run: Run, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.written["agent_somebody"] = False
    async with run() as supervisor:
        with caplog.at_level(logging.WARNING, "orchestrator.rounds"):
            for _ in range(3):
                await supervisor._rounds.look_at_all()

    told = [record.getMessage() for record in caplog.records]
    assert told == ["volume of no session is kept volume=agent_somebody"]
    assert "agent_somebody" in engine.written


async def test_a_volume_that_is_being_deleted_is_nobodys_for_a_moment_only(
    run: Run, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.hold("events")  # following them begins with a look of its own
    async with run() as supervisor:
        engine.written["agent_somebody"] = False
        with caplog.at_level(logging.WARNING, "orchestrator.rounds"):
            await supervisor._rounds.look_at_all()
            await engine.remove_volume("agent_somebody")
            await supervisor._rounds.look_at_all()

    assert not caplog.records
