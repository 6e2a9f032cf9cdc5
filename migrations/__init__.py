"""Two Alembic histories, one for each database, and the one function that applies them.

A branch is `gateway` or `orchestrator`: a folder here, with its own version table, so that both
may also share one PostgreSQL database. This package knows no record, user or session.
"""

import asyncio
import os
from pathlib import Path

import anyio.to_thread
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (  # noqa: TID251 - applying migrations is SQL
    URL,
    Connection,
    create_engine,
    make_url,
    pool,
)
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID251
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: TID251


class MigrationError(Exception):
    """The database could not be brought to this version; the sentence says why."""


class DatabaseTooNew(MigrationError):
    """The database was written by a newer version, which this one must not touch."""


async def upgrade(url: str, branch: str) -> None:
    """Bring the database at `url` to the newest revision of `branch`."""
    # Alembic blocks throughout (it reads its scripts while it runs), so it gets a thread.
    await anyio.to_thread.run_sync(_upgrade, make_url(url), branch)


def _upgrade(url: URL, branch: str) -> None:
    try:
        if url.get_backend_name() == "sqlite":
            _upgrade_here(url.set(drivername="sqlite"), branch)
        else:
            asyncio.run(_upgrade_on_a_loop(url, branch))
    except (SQLAlchemyError, OSError) as error:
        raise MigrationError(
            f"The {branch} database could not be opened or upgraded: {_cause(error)}. "
            "Check that its folder exists, can be written and is not full."
        ) from error


def _upgrade_here(url: URL, branch: str) -> None:
    """SQLite needs no loop, and aiosqlite outlives a loop that ends because opening failed."""
    if url.database:
        # Made by its owner alone from the first moment: SQLite would go by the umask.
        os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))
    engine = create_engine(url, poolclass=pool.NullPool)
    with engine.begin() as connection:
        _apply(connection, branch)


async def _upgrade_on_a_loop(url: URL, branch: str) -> None:
    engine = create_async_engine(url, poolclass=pool.NullPool)
    async with engine.begin() as connection:
        await connection.run_sync(_apply, branch)


def _apply(connection: Connection, branch: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / branch))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    config.attributes["version_table"] = version_table(branch)
    _refuse_newer(connection, branch, ScriptDirectory.from_config(config))
    command.upgrade(config, "head")


def _refuse_newer(connection: Connection, branch: str, scripts: ScriptDirectory) -> None:
    context = MigrationContext.configure(connection, opts={"version_table": version_table(branch)})
    known = {script.revision for script in scripts.walk_revisions()}
    for revision in context.get_current_heads():
        if revision not in known:
            raise DatabaseTooNew(
                f"The {branch} database was written by a newer version of OpenCode Gateway "
                f"(its revision {revision} is unknown here). Start that version, or restore a "
                "copy of the database made before the upgrade."
            )


def version_table(branch: str) -> str:
    return f"{branch}_revision"


def _cause(error: Exception) -> str:
    """The driver's own words, without SQLAlchemy's statement, parameters and links."""
    return str(getattr(error, "orig", None) or error).splitlines()[0]
