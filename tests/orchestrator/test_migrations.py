"""The history of the orchestrator's database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from migrations import DatabaseTooNew, MigrationError, upgrade


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


@pytest.mark.parametrize("path", ["no/such/folder/a.db", "folder", "text"])
async def test_what_can_not_be_opened_is_a_sentence(tmp_path: Path, path: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "text").write_text("not a database, but long enough to be read as one" * 100)

    with pytest.raises(MigrationError, match="could not be opened or upgraded"):
        await upgrade(f"sqlite+aiosqlite:///{tmp_path}/{path}", "orchestrator")


async def test_a_new_database_is_its_owners_alone(tmp_path: Path) -> None:
    await upgrade(f"sqlite+aiosqlite:///{tmp_path}/a.db", "orchestrator")

    assert (tmp_path / "a.db").stat().st_mode & 0o777 == 0o600
