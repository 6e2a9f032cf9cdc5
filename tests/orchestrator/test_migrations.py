"""The history of the orchestrator's database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command

from migrations import DatabaseTooNew, MigrationError, upgrade
from orchestrator.store import Store


async def test_upgrading_twice_is_as_good_as_once(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/a.db"
    await upgrade(url, "orchestrator")
    await upgrade(url, "orchestrator")

    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        assert database.execute("SELECT count(*) FROM containers").fetchone() == (0,)


async def test_a_database_newer_than_the_code_is_refused_untouched(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/a.db"
    await upgrade(url, "orchestrator")
    with closing(sqlite3.connect(tmp_path / "a.db")) as database:
        database.execute("UPDATE orchestrator_revision SET version_num = '9999'")
        database.commit()

    with pytest.raises(DatabaseTooNew, match="written by a newer version"):
        await upgrade(url, "orchestrator")


async def test_a_record_of_before_keeps_its_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, url = tmp_path / "a.db", f"sqlite+aiosqlite:///{tmp_path}/a.db"
    with monkeypatch.context() as before:
        apply = command.upgrade
        before.setattr(command, "upgrade", lambda config, _: apply(config, "0001"))
        await upgrade(url, "orchestrator")
    with closing(sqlite3.connect(file)) as database:
        for session_id, state in (("5" * 32, "ready"), ("6" * 32, "new")):
            database.execute(
                "INSERT INTO containers"
                " (session_id, generation, state, since, why, image, failures)"
                " VALUES (?, 3, ?, '2026-01-02 03:04:05', 'why', 'image', 0)",
                (session_id, state),
            )
        database.commit()
    await upgrade(url, "orchestrator")

    store = await Store.open(url)
    ready, new = sorted(await store.load(), key=lambda record: record.session_id)
    await store.aclose()
    assert (ready.generation, ready.state, ready.crashes, ready.user_id) == (3, "ready", 0, "")
    assert (ready.volume, new.volume) == (f"agent_{'5' * 32}", "")
    assert (ready.claimed, ready.awake_until, ready.booted_at) == (None, None, None)


@pytest.mark.parametrize("path", ["no/such/folder/a.db", "folder", "text"])
async def test_what_can_not_be_opened_is_a_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("not a database, but long enough to be read as one" * 100)

    with pytest.raises(MigrationError, match="could not be opened or upgraded"):
        await upgrade(f"sqlite+aiosqlite:///{tmp_path}/{path}", "orchestrator")


async def test_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    await upgrade(f"sqlite+aiosqlite:///{tmp_path}/a.db", "orchestrator")

    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600
