"""Container records on disk; the only SQL of the orchestrator.

What only this run can know (phase, address) is not stored: the engine tells it again. Every
method is one transaction, and a database that can't be used is told in one sentence.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import anyio.to_thread
import sqlalchemy as sa  # noqa: TID251 - this is the store
from sqlalchemy.exc import SQLAlchemyError  # noqa: TID251
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine  # noqa: TID251

from orchestrator.containers import Record, State, Timings
from orchestrator.errors import OrchestratorError

_METADATA = sa.MetaData()
_CONTAINERS = sa.Table(
    "containers",
    _METADATA,
    sa.Column("session_id", sa.String(32), primary_key=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("image", sa.Text, nullable=False),
    sa.Column("container_id", sa.String(128)),
    sa.Column("problem", sa.String(32)),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("retry_at", sa.DateTime(timezone=True)),
    sa.Column("create_s", sa.Float),
    sa.Column("boot_s", sa.Float),
    sa.Column("ready_s", sa.Float),
)


class Store:
    """The table of records. One per program, made by `open`; close it at the end."""

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        if url.startswith("sqlite"):
            sa.event.listen(self._engine.sync_engine, "connect", _prepare_sqlite)

    @classmethod
    async def open(cls, url: str) -> "Store":
        # Looking up where a relative file lies blocks, so even this is a thread's work.
        return await anyio.to_thread.run_sync(cls, url)

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def load(self) -> list[Record]:
        async with self._transaction() as connection:
            rows = await connection.execute(sa.select(_CONTAINERS))
            return [_record(row) for row in rows.mappings()]

    async def save(self, record: Record) -> None:
        row = _row(record)
        mine = _CONTAINERS.c.session_id == record.session_id
        async with self._transaction() as connection:
            updated = await connection.execute(sa.update(_CONTAINERS).where(mine).values(row))
            if updated.rowcount == 0:
                await connection.execute(sa.insert(_CONTAINERS).values(row))

    async def delete(self, session_id: str) -> None:
        mine = _CONTAINERS.c.session_id == session_id
        async with self._transaction() as connection:
            await connection.execute(sa.delete(_CONTAINERS).where(mine))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            # A start may be given up at any moment; a transaction is short, and is finished.
            with anyio.CancelScope(shield=True):
                async with self._engine.begin() as connection:
                    yield connection
        except (SQLAlchemyError, OSError) as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise OrchestratorError(
                "storage_unavailable", f"The orchestrator's database can't be used: {cause}."
            ) from error


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # a reader beside the writer, e.g. a backup
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.close()


def _row(record: Record) -> dict[str, Any]:
    return {
        "session_id": record.session_id,
        "generation": record.generation,
        "state": record.state.value,
        "since": record.since,
        "why": record.why,
        "image": record.image,
        "container_id": record.container_id,
        "problem": record.problem,
        "failures": record.failures,
        "retry_at": record.retry_at,
        "create_s": record.timings.create_s,
        "boot_s": record.timings.boot_s,
        "ready_s": record.timings.ready_s,
    }


def _record(row: sa.RowMapping) -> Record:
    return Record(
        session_id=row["session_id"],
        generation=row["generation"],
        state=State(row["state"]),
        since=_utc(row["since"]),
        why=row["why"],
        image=row["image"],
        container_id=row["container_id"],
        problem=row["problem"],
        failures=row["failures"],
        retry_at=None if row["retry_at"] is None else _utc(row["retry_at"]),
        timings=Timings(row["create_s"], row["boot_s"], row["ready_s"]),
    )


def _utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; everything is written in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
