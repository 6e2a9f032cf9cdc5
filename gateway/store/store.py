"""Every question and every change, one method each.

A conflict that the tables refuse becomes the GatewayError that the caller's user understands.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, Table, delete, insert, select, text, update  # noqa: TID251
from sqlalchemy.exc import IntegrityError  # noqa: TID251 - this is the store
from sqlalchemy.ext.asyncio import AsyncConnection  # noqa: TID251

from gateway.errors import GatewayError
from gateway.roster import Contents, Login, Session, User
from gateway.store.database import Database
from gateway.store.rows import Account, Agent
from gateway.store.tables import (
    agents,
    login_links,
    logins,
    sessions,
    shared_conversations,
    users,
)

_Row = Row[Any]
_PART = 500


class Store:
    """`migrations.upgrade(url, "gateway")` comes before the first use."""

    def __init__(self, url: str, busy_timeout_s: float = 5.0) -> None:
        self._database = Database(url, busy_timeout_s)

    async def close(self) -> None:
        await self._database.close()

    async def check(self) -> None:
        """Raise unless the database answers."""
        async with self._database.read() as connection:
            await connection.execute(text("SELECT 1"))

    async def add_account(self, account: Account) -> None:
        user = account.user
        row = {
            "id": user.id,
            "username": user.username,
            "role": user.role,
            "password_hash": account.password_hash,
            "created_at": account.created_at,
        }
        with _refused("username_taken", f"There is already a user {user.username!r}."):
            await self._change(insert(users).values(row))

    async def account(self, username: str) -> Account | None:
        row = await self._one(select(users).where(users.c.username == username))
        return row and Account(_user(row), row.password_hash, row.created_at)

    async def user(self, user_id: str) -> User | None:
        row = await self._one(select(users).where(users.c.id == user_id))
        return row and _user(row)

    async def users(self) -> list[User]:
        return [_user(row) for row in await self._all(select(users).order_by(users.c.username))]

    async def set_password_hash(self, user_id: str, password_hash: str) -> None:
        """Replace the password, and end every login of its user with it."""
        async with self._database.write() as connection:
            await connection.execute(
                update(users).where(users.c.id == user_id).values(password_hash=password_hash)
            )
            await connection.execute(delete(logins).where(logins.c.user_id == user_id))

    async def add_link(self, token_hash: str, user_id: str, expires_at: datetime) -> None:
        row = {"token_hash": token_hash, "user_id": user_id, "expires_at": expires_at}
        with _refused("user_not_found", "There is no such user."):
            await self._change(insert(login_links).values(row))

    async def redeem_link(self, token_hash: str, now: datetime) -> User | None:
        """Use a link up and return whose it was; of two who try at once, one gets None."""
        links = login_links.c
        fresh = (links.token_hash == token_hash, links.used_at.is_(None), links.expires_at > now)
        use = update(login_links).where(*fresh).values(used_at=now).returning(links.user_id)
        async with self._database.write() as connection:
            user_id = (await connection.execute(use)).scalar_one_or_none()
            owner = select(users).where(users.c.id == user_id)
            row: _Row | None = (await connection.execute(owner)).one_or_none()
        return row and _user(row)

    async def add_login(self, login: Login) -> None:
        row = {"id": login.id, "user_id": login.user_id, "expires_at": _time(login.expires_at)}
        with _refused("user_not_found", "There is no such user."):
            await self._change(insert(logins).values(row))

    async def logins(self) -> list[Login]:
        return [_login(row) for row in await self._all(select(logins))]

    async def contents(self) -> Contents:
        """Return what there is, by id; the most frequent question of all."""
        async with self._database.read() as connection:
            of_agents = await connection.execute(select(agents.c.user_id, agents.c.id))
            return Contents(
                users=await _ids(connection, users),
                logins=await _ids(connection, logins),
                sessions=await _ids(connection, sessions),
                agents={(row.user_id, row.id) for row in of_agents},
            )

    async def logins_among(self, ids: Collection[str]) -> list[Login]:
        rows = await self._all(select(logins).where(logins.c.id.in_(ids)))
        return [_login(row) for row in rows]

    async def sessions_among(
        self, ids: Collection[str], token_hashes: Collection[str]
    ) -> list[Session]:
        named = sessions.c.id.in_(ids) | sessions.c.token_hash.in_(token_hashes)
        return [_session(row) for row in await self._all(select(sessions).where(named))]

    async def remove_login(self, login_id: str) -> None:
        await self._change(delete(logins).where(logins.c.id == login_id))

    async def remove_expired(self, now: datetime) -> None:
        """Forget the logins and links that can no longer let anybody in."""
        async with self._database.write() as connection:
            await connection.execute(delete(logins).where(logins.c.expires_at <= now))
            await connection.execute(delete(login_links).where(login_links.c.expires_at <= now))

    async def add_agent(self, agent: Agent) -> None:
        with _refused("user_not_found", "There is no such user."):
            await self._change(insert(agents).values(_agent_row(agent)))

    async def agent(self, agent_id: str) -> Agent | None:
        row = await self._one(select(agents).where(agents.c.id == agent_id))
        return row and _agent(row)

    async def agents_of(self, user_id: str) -> list[Agent]:
        mine = select(agents).where(agents.c.user_id == user_id)
        return [_agent(row) for row in await self._all(mine.order_by(agents.c.created_at))]

    async def agents(self) -> list[tuple[str, str]]:
        """Return a pair of (user id, agent id) for each agent, as the roster wants them."""
        rows = await self._all(select(agents.c.user_id, agents.c.id))
        return [(row.user_id, row.id) for row in rows]

    async def change_agent(self, agent_id: str, changes: Mapping[str, Any]) -> None:
        """Set only the named columns, so that two changes at once do not undo each other."""
        if changes:
            await self._change(update(agents).where(agents.c.id == agent_id).values(dict(changes)))

    async def remove_agent(self, agent_id: str) -> None:
        with _refused("agent_in_use", "Sessions still use this agent: delete those first."):
            await self._change(delete(agents).where(agents.c.id == agent_id))

    async def add_session(self, session: Session) -> None:
        row = {
            "id": session.id,
            "user_id": session.user_id,
            "agent_id": session.agent_id,
            "title": session.title,
            "token_hash": session.token_hash,
            "created_at": session.created_at,
        }
        with _refused("agent_not_found", "There is no such agent."):
            await self._change(insert(sessions).values(row))

    async def session(self, session_id: str) -> Session | None:
        row = await self._one(select(sessions).where(sessions.c.id == session_id))
        return row and _session(row)

    async def sessions_of(self, user_id: str) -> list[Session]:
        mine = select(sessions).where(sessions.c.user_id == user_id)
        return [_session(row) for row in await self._all(mine.order_by(sessions.c.created_at))]

    async def sessions(self) -> list[Session]:
        return [_session(row) for row in await self._all(select(sessions))]

    async def remove_session(self, session_id: str) -> None:
        await self._change(delete(sessions).where(sessions.c.id == session_id))

    async def add_shared_conversation(
        self, conversation_id: str, session_id: str, created_at: datetime
    ) -> None:
        row = {"id": conversation_id, "session_id": session_id, "created_at": created_at}
        # Known already, or its session was deleted meanwhile: either way there is nothing to keep.
        with suppress(IntegrityError):
            await self._change(insert(shared_conversations).values(row))

    async def shared_conversations(self, since: datetime | None = None) -> list[tuple[str, str]]:
        """Return pairs of (conversation id, session id): all, or the ones made since then."""
        found = select(shared_conversations)
        if since is not None:
            found = found.where(shared_conversations.c.created_at >= since)
        rows = await self._all(found)
        return [(row.id, row.session_id) for row in rows]

    async def _one(self, query: Select[Any]) -> _Row | None:
        async with self._database.read() as connection:
            row: _Row | None = (await connection.execute(query)).one_or_none()
            return row

    async def _all(self, query: Select[Any]) -> list[_Row]:
        async with self._database.read() as connection:
            return list((await connection.execute(query)).all())

    async def _change(self, statement: Any) -> None:
        async with self._database.write() as connection:
            await connection.execute(statement)


async def _ids(connection: AsyncConnection, table: Table) -> set[str]:
    """Read all ids in parts, with the loop's other work in between: ten thousand logins and as
    many sessions read at once hold it up for 20 ms."""
    found: set[str] = set()
    rows = await connection.stream_scalars(select(table.c.id))
    async for part in rows.partitions(_PART):
        found.update(part)
    return found


@contextmanager
def _refused(code: str, sentence: str) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise GatewayError(code, sentence) from error


def _user(row: _Row) -> User:
    return User(row.id, row.username, row.role)


def _login(row: _Row) -> Login:
    return Login(row.id, row.user_id, row.expires_at.timestamp())


def _session(row: _Row) -> Session:
    return Session(row.id, row.user_id, row.agent_id, row.title, row.token_hash, row.created_at)


def _agent(row: _Row) -> Agent:
    return Agent(**row._mapping)


def _agent_row(agent: Agent) -> dict[str, Any]:
    return {column.name: getattr(agent, column.name) for column in agents.columns}


def _time(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)
