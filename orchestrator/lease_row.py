"""The lease as it stands in the database: one row, changed only by who knows what it was.

Each method is one statement. The row stays when the lease is given up: its beat only ever grows,
so one that is seen twice has stood still in between. This module knows no time but the one that
people read, and does not know who may take the lease.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import datetime

import anyio
import sqlalchemy as sa  # noqa: TID251 - no container's row, and it must not wait for theirs
from sqlalchemy.exc import IntegrityError, SQLAlchemyError  # noqa: TID251
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine  # noqa: TID251

from orchestrator.errors import OrchestratorError

NOBODY = ""
_SQLITE_WAIT_S = 2.0  # for another program's write, which takes milliseconds
_NAME = "orchestrator"
_LEASES = sa.Table(
    "lease",
    sa.MetaData(),
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("holder", sa.String(64), nullable=False),
    sa.Column("beat", sa.Integer, nullable=False),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("since", sa.DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Tenure:
    """Who holds the lease, and how often it was renewed. `host` and `since` are for people."""

    holder: str
    beat: int
    host: str
    since: datetime


class LeaseRow:
    """Every method raises OrchestratorError when the database can't be used."""

    def __init__(self, url: str) -> None:
        # A statement on SQLite is a thread's, which can't be cancelled: it ends by itself.
        self._own_end = url.startswith("sqlite")
        # Connections of its own: a store that is busy or hangs must not cost the lease. Two, as
        # one that hangs takes a moment to be ended.
        self._engine = create_async_engine(
            url,
            pool_size=1,
            max_overflow=1,
            connect_args={"timeout": _SQLITE_WAIT_S} if self._own_end else {},
        )

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def read(self) -> Tenure | None:
        async with self._transaction() as connection:
            rows = await connection.execute(sa.select(_LEASES).where(_LEASES.c.name == _NAME))
            row = rows.mappings().one_or_none()
        if row is None:
            return None
        return Tenure(row["holder"], row["beat"], row["host"], row["since"])

    async def write_first(self, tenure: Tenure) -> bool:
        """Take a lease that nobody ever held; False if somebody was faster."""
        try:
            return await self._change(sa.insert(_LEASES).values(name=_NAME, **asdict(tenure)))
        except IntegrityError:
            return False

    async def replace(self, before: Tenure, after: Tenure) -> bool:
        """Take the lease if it still stands as it was seen; False if it does not."""
        row = sa.update(_LEASES).where(_LEASES.c.name == _NAME)
        unchanged = (_LEASES.c.holder == before.holder) & (_LEASES.c.beat == before.beat)
        return await self._change(row.where(unchanged).values(asdict(after)))

    async def renew(self, holder: str) -> bool:
        """Count the beat up; False if somebody else holds it."""
        mine = sa.update(_LEASES).where(_LEASES.c.holder == holder)
        return await self._change(mine.values(beat=_LEASES.c.beat + 1))

    async def free(self, holder: str) -> bool:
        mine = sa.update(_LEASES).where(_LEASES.c.holder == holder)
        return await self._change(mine.values(holder=NOBODY, beat=_LEASES.c.beat + 1))

    async def _change(self, statement: sa.Update | sa.Insert) -> bool:
        async with self._transaction() as connection:
            return (await connection.execute(statement)).rowcount > 0

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        try:
            with anyio.CancelScope(shield=self._own_end):
                async with self._engine.begin() as connection:
                    yield connection
        except IntegrityError:
            raise
        except (SQLAlchemyError, OSError) as error:
            cause = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise OrchestratorError(
                "storage_unavailable", f"The orchestrator's database can't be used: {cause}."
            ) from error
