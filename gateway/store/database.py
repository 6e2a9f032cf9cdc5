"""One database: its connections, its transactions, and its failures as sentences.

SQLite and PostgreSQL are told apart here and nowhere else. It knows no table.
"""

import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy import (  # noqa: TID251 - this is the store
    URL,
    Connection,
    event,
    make_url,
)
from sqlalchemy.exc import DBAPIError, IntegrityError, TimeoutError  # noqa: A004, TID251
from sqlalchemy.ext.asyncio import (  # noqa: TID251
    AsyncConnection,
    AsyncEngine,
    create_async_engine,
)

from gateway.errors import GatewayError

_log = logging.getLogger(__name__)

_SQLITE_FULL = 13
_POSTGRESQL_FULL = "53100"
_CONNECTIONS = 4
_POOL_TIMEOUT_S = 10


class Database:
    def __init__(self, url: str, busy_timeout_s: float = 5.0) -> None:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            self._engine = _sqlite(parsed, busy_timeout_s)
        else:
            self._engine = _postgresql(parsed)
        self._writing = self._engine.execution_options(immediate=True)

    async def close(self) -> None:
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        async with _translated(), self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: all of it, or none. An IntegrityError is the caller's to explain."""
        async with _translated(), self._writing.begin() as connection:
            yield connection


def _sqlite(url: URL, busy_timeout_s: float) -> AsyncEngine:
    _keep_private(url.database or "")
    engine = create_async_engine(
        url,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_S,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        # The driver's own BEGIN comes late and is never IMMEDIATE; _begin sends ours.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={int(busy_timeout_s * 1000)}")
        cursor.execute("PRAGMA journal_mode=WAL")  # readers and the one writer do not wait
        cursor.execute("PRAGMA foreign_keys=ON")  # off by default, and per connection
        cursor.close()

    event.listen(engine.sync_engine, "begin", _begin)
    return engine


def _begin(connection: Connection) -> None:
    """A write takes its lock first: one that upgrades midway fails at once, with no waiting."""
    immediate = connection.get_execution_options().get("immediate", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _keep_private(path: str) -> None:
    """SQLite gives its journals the mode of the database, which is nobody else's to read."""
    # A path that can't be made is told by the first query, in its own sentence.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        os.chmod(path, 0o600)


def _postgresql(url: URL) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=_CONNECTIONS,
        pool_timeout=_POOL_TIMEOUT_S,
        pool_pre_ping=True,  # a server that restarted costs one round trip, not one error
        connect_args={"timeout": 5, "command_timeout": 15},
        hide_parameters=True,
    )


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, TimeoutError, OSError) as error:
        # No parameters: they hold hashes and encrypted tokens.
        _log.error("Database failed: %s", _cause(error))
        raise _failure(error) from error


def _failure(error: Exception) -> GatewayError:
    cause = getattr(error, "orig", None)
    code = getattr(cause, "sqlite_errorcode", 0) & 0xFF
    if code == _SQLITE_FULL or getattr(cause, "sqlstate", None) == _POSTGRESQL_FULL:
        return GatewayError(
            "storage_full", "Nothing was changed: the disk that holds the database is full."
        )
    return GatewayError(
        "storage_unavailable",
        "The database does not answer just now; nothing was changed. Try again in a moment.",
        retry_after_s=5,
    )


def _cause(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).partition("\n")[0]
