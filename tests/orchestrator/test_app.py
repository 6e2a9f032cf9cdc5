"""Which engine is chosen, and what is said where none can be had."""

from pathlib import Path

import pytest

from orchestrator.app import choose_engine, prepare
from orchestrator.settings import Settings, SettingsError, load_settings


def settings(folder: Path, **more: str) -> Settings:
    nowhere = f"unix://{folder}/no-engine.sock"
    return load_settings({"STATE": str(folder / "state"), "DOCKER_HOST": nowhere, **more})


async def test_without_docker_auto_takes_local_processes_and_says_what_they_lack(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = settings(tmp_path, OPENCODE_BIN="/bin/true")
    engine = await choose_engine(chosen)
    await engine.aclose()

    assert engine.name == "process"
    assert "They do not isolate sessions" in caplog.text


async def test_where_nothing_can_run_a_session_it_is_said_before_anything_starts(
    tmp_path: Path,
) -> None:
    chosen = settings(tmp_path, PATH=str(tmp_path))
    with pytest.raises(SettingsError, match="set OPENCODE_BIN to its path"):
        await choose_engine(chosen)


async def test_docker_asked_for_by_name_may_wake_later(tmp_path: Path) -> None:
    chosen = settings(tmp_path, ENGINE="docker")
    engine = await choose_engine(chosen)
    await engine.aclose()

    assert engine.name == "docker"


async def test_a_database_that_can_not_be_opened_is_a_settings_error(tmp_path: Path) -> None:
    elsewhere = f"sqlite:///{tmp_path}/no/such/folder/a.db"
    chosen = settings(tmp_path, ORCHESTRATOR_DATABASE_URL=elsewhere)
    with pytest.raises(SettingsError, match="could not be opened"):
        await prepare(chosen)


async def test_a_folder_that_can_not_be_locked_is_a_settings_error(tmp_path: Path) -> None:
    chosen = settings(tmp_path, ENGINE="docker")
    (chosen.state / "orchestrator.lock").mkdir()
    with pytest.raises(SettingsError, match="STATE needs a folder this program may lock"):
        await choose_engine(chosen)
