"""Container records and spares on disk; the SQL of the orchestrator, but for its lease.

What only this run can know (phase, address) is not stored: the engine tells it again. Every
method is one transaction, and a database that can't be used is told in one sentence.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
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
    sa.Column("user_id", sa.String(32), nullable=False),
    sa.Column("volume", sa.String(128), nullable=False),
    sa.Column("container_id", sa.String(128)),
    sa.Column("problem", sa.String(32)),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("crashes", sa.Integer, nullable=False),
    sa.Column("retry_at", sa.DateTime(timezone=True)),
    sa.Column("queue_s", sa.Float),
    sa.Column("create_s", sa.Float),
    sa.Column("boot_s", sa.Float),
    sa.Column("ready_s", sa.Float),
    sa.Column("claimed", sa.String(64)),
    sa.Column("orderly", sa.Boolean, nullable=False),
    sa.Column("awake_until", sa.DateTime(timezone=True)),
    sa.Column("booted_at", sa.DateTime(timezone=True)),
)
_SPARES = sa.Table(
    "spares",
    _METADATA,
    sa.Column("key", sa.String(64), primary_key=True),
    sa.Column("volume", sa.String(128), nullable=False),
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
        """Write a record down. The spare that it has claimed is nobody's else from then on."""
        row = _row(record)
        mine = _CONTAINERS.c.session_id == record.session_id
        async with self._transaction() as connection:
            updated = await connection.execute(sa.update(_CONTAINERS).where(mine).values(row))
            if updated.rowcount == 0:
                await connection.execute(sa.insert(_CONTAINERS).values(row))
            if record.claimed is not None:
                await connection.execute(_without_spare(record.claimed))

    async def delete(self, session_id: str) -> None:
        mine = _CONTAINERS.c.session_id == session_id
        async with self._transaction() as connection:
            await connection.execute(sa.delete(_CONTAINERS).where(mine))

    async def spares(self) -> dict[str, str]:
        """The volume of each spare that nobody has claimed, by the spare's key."""
        async with self._transaction() as connection:
            rows = await connection.execute(sa.select(_SPARES))
            return {row["key"]: row["volume"] for row in rows.mappings()}

    async def add_spare(self, key: str, volume: str) -> None:
        """Before it is made: what is not written down here is never deleted."""
        async with self._transaction() as connection:
            await connection.execute(sa.insert(_SPARES).values(key=key, volume=volume))

    async def forget_spare(self, key: str) -> None:
        async with self._transaction() as connection:
            await connection.execute(_without_spare(key))

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


def _without_spare(key: str) -> sa.Delete:
    return sa.delete(_SPARES).where(_SPARES.c.key == key)


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
        "user_id": record.user_id,
        "volume": record.volume,
        "container_id": record.container_id,
        "problem": record.problem,
        "failures": record.failures,
        "crashes": record.crashes,
        "retry_at": record.retry_at,
        **asdict(record.timings),
        "claimed": record.claimed,
        "orderly": record.orderly,
        "awake_until": record.awake_until,
        "booted_at": record.booted_at,
    }


def _record(row: sa.RowMapping) -> Record:
    return Record(
        session_id=row["session_id"],
        generation=row["generation"],
        state=State(row["state"]),
        since=_utc(row["since"]),
        why=row["why"],
        image=row["image"],
        user_id=row["user_id"],
        volume=row["volume"],
        container_id=row["container_id"],
        problem=row["problem"],
        failures=row["failures"],
        crashes=row["crashes"],
        retry_at=_utc_or_none(row["retry_at"]),
        timings=Timings(row["queue_s"], row["create_s"], row["boot_s"], row["ready_s"]),
        claimed=row["claimed"],
        orderly=row["orderly"],
        awake_until=_utc_or_none(row["awake_until"]),
        booted_at=_utc_or_none(row["booted_at"]),
    )


def _utc_or_none(moment: datetime | None) -> datetime | None:
    return None if moment is None else _utc(moment)


def _utc(moment: datetime) -> datetime:
    """SQLite forgets the zone; everything is written in UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
