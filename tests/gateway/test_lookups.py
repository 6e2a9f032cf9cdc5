"""What is in the store and unknown here is found when it is asked for, at bounded cost."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from gateway import administration
from gateway.accounts import new_id, new_token
from gateway.credentials import Caller, Presented, identify
from gateway.errors import GatewayError
from gateway.lookups import Lookups, Named
from gateway.news import LoginEnded, SessionLeaving
from gateway.parts import Parts
from gateway.roster import Login, Session, User
from gateway.store import Store
from gateway.wire.tasks import Tasks
from tests.support.gateway_api import gateway

WISH = {"name": "a", "provider": "anthropic", "token": "sk-canary-token"}


class Elsewhere:
    """What another gateway has made in the store that ours shares."""

    def __init__(self, parts: Parts, lookups: Lookups) -> None:
        self.parts = parts
        self.lookups = lookups

    async def furnish(self) -> None:
        store, accounts = self.parts.store, self.parts.accounts
        self.user = await administration.create_user(store, "alice")
        await administration.create_agent(store, accounts, (), self.user, WISH)
        self.session, self.token = await administration.create_session(store, self.user)
        self.login = Login(new_id(), self.user.id, time.time() + 60)
        await store.add_login(self.login)

    def cookie(self, session: Session | None = None) -> Presented:
        named = session.id if session else None
        value = self.parts.cookies.set_header(self.login.id, named).partition(";")[0]
        return Presented(cookies=(value.encode(),))

    def who(self, presented: Presented) -> Caller | None:
        return identify(presented, self.parts.cookies, self.parts.roster)

    async def resolved(self, presented: Presented) -> Caller | None:
        """Who is asking once everything has been looked up that could be."""
        while named := self.lookups.missing(presented, self.who(presented)):
            with anyio.fail_after(5):
                await self.lookups.find(named)
        return self.who(presented)


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[Elsewhere]:
    tasks = Tasks()
    async with gateway(tmp_path) as served:
        found = Elsewhere(served.parts, Lookups(served.parts, tasks))
        await found.furnish()
        yield found
        await tasks.aclose()


@pytest.fixture
def queries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many things each query asked for."""
    asked: list[int] = []
    real = Store.sessions_among

    async def counting(self: Store, ids: list[str], token_hashes: list[str]) -> list[Session]:
        asked.append(len(ids) + len(token_hashes))
        return await real(self, ids, token_hashes)

    monkeypatch.setattr(Store, "sessions_among", counting)
    return asked


def bearer(token: str) -> Presented:
    return Presented(authorization=f"Bearer {token}".encode())


async def test_a_login_made_elsewhere_is_found_with_its_session_and_agents(
    elsewhere: Elsewhere,
) -> None:
    caller = await elsewhere.resolved(elsewhere.cookie(elsewhere.session))

    assert caller == Caller(elsewhere.user.id, elsewhere.login.id, elsewhere.session.id, "cookie")
    assert elsewhere.parts.roster.has_agent(elsewhere.user.id)
    assert elsewhere.parts.roster.user(elsewhere.user.id) == elsewhere.user


async def test_a_session_made_elsewhere_later_is_found(elsewhere: Elsewhere) -> None:
    await elsewhere.resolved(elsewhere.cookie())
    later, _ = await administration.create_session(elsewhere.parts.store, elsewhere.user)

    caller = await elsewhere.resolved(elsewhere.cookie(later))

    assert caller is not None
    assert caller.session_id == later.id


@pytest.mark.parametrize("form", ["bearer", "basic", "query"])
async def test_an_access_token_made_elsewhere_is_found(elsewhere: Elsewhere, form: str) -> None:
    pair = b64encode(f"anyone:{elsewhere.token}".encode())
    presented = {
        "bearer": bearer(elsewhere.token),
        "basic": Presented(authorization=b"Basic " + pair),
        "query": Presented(auth_token=pair),
    }[form]

    caller = await elsewhere.resolved(presented)

    assert caller is not None
    assert caller.session_id == elsewhere.session.id


async def test_what_is_nowhere_is_looked_for_once(elsewhere: Elsewhere, queries: list[int]) -> None:
    stranger = bearer(new_token())

    assert await elsewhere.resolved(stranger) is None
    assert await elsewhere.resolved(stranger) is None
    assert queries == [1]


async def test_who_is_known_is_not_looked_up(elsewhere: Elsewhere, queries: list[int]) -> None:
    presented = elsewhere.cookie(elsewhere.session)
    await elsewhere.resolved(presented)
    queries.clear()

    assert elsewhere.lookups.missing(presented, elsewhere.who(presented)) is None
    assert queries == []


@pytest.mark.parametrize(
    "presented",
    [
        Presented(),
        bearer("a password that somebody typed"),
        bearer("x" * 44),
        Presented(cookies=(b"opencode-gateway=forged.signature",)),
        Presented(authorization=b"Digest " + b"x" * 43),
    ],
)
async def test_what_cannot_be_ours_is_not_looked_for(
    elsewhere: Elsewhere, presented: Presented
) -> None:
    assert elsewhere.lookups.missing(presented, None) is None


async def test_many_who_name_the_same_wait_for_one_query(
    elsewhere: Elsewhere, queries: list[int]
) -> None:
    presented = bearer(elsewhere.token)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(elsewhere.resolved(presented)) for _ in range(50)]

    assert {task.result() for task in asking} == {elsewhere.who(presented)}
    assert queries == [1]


async def test_strangers_with_many_tokens_cost_a_few_queries(
    elsewhere: Elsewhere, queries: list[int]
) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(300):
            group.create_task(elsewhere.resolved(bearer(new_token())))

    assert sum(queries) == 300
    assert len(queries) <= 4


async def test_more_than_can_wait_are_told_to_come_back(elsewhere: Elsewhere) -> None:
    async def found() -> str:
        try:
            await elsewhere.lookups.find(Named("token", new_id()))
        except GatewayError as error:
            return error.code
        return "answered"

    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(found()) for _ in range(1001)]

    told = [task.result() for task in asking]
    assert told.count("answered") == 1000
    assert told.count("storage_unavailable") == 1


async def test_a_store_that_cannot_answer_makes_nobody_unknown(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: object) -> list[Login]:
        raise GatewayError("storage_unavailable", "Not now.")

    presented = elsewhere.cookie(elsewhere.session)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Store, "logins_among", failing)
        with pytest.raises(GatewayError, match="Not now"):
            await elsewhere.resolved(presented)

    assert await elsewhere.resolved(presented) is not None


async def test_what_ends_while_it_is_looked_up_stays_ended(
    elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Store.user

    async def slowly(self: Store, user_id: str) -> User | None:
        elsewhere.parts.changes.take(LoginEnded(elsewhere.login.id))
        return await real(self, user_id)

    monkeypatch.setattr(Store, "user", slowly)

    assert await elsewhere.resolved(elsewhere.cookie(elsewhere.session)) is None


async def test_a_session_that_is_being_deleted_is_not_brought_back(
    elsewhere: Elsewhere,
) -> None:
    elsewhere.parts.changes.take(SessionLeaving(elsewhere.session.id))

    by_cookie = await elsewhere.resolved(elsewhere.cookie(elsewhere.session))
    by_token = await elsewhere.resolved(bearer(elsewhere.token))

    assert by_cookie is not None
    assert by_cookie.session_id is None
    assert by_token is None


async def test_strangers_cannot_make_it_forget_what_is_being_deleted(
    elsewhere: Elsewhere,
) -> None:
    elsewhere.parts.changes.take(SessionLeaving(elsewhere.session.id))
    for number in range(10_001):
        elsewhere.lookups._absent_tokens.note(str(number))
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(elsewhere.resolved(bearer(new_token())))

    caller = await elsewhere.resolved(elsewhere.cookie(elsewhere.session))

    assert caller is not None
    assert caller.session_id is None


async def test_a_caller_who_leaves_leaves_the_others_waiting(elsewhere: Elsewhere) -> None:
    presented = bearer(elsewhere.token)
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(elsewhere.resolved(presented))
        staying = group.create_task(elsewhere.resolved(presented))
        await asyncio.sleep(0)
        leaving.cancel()

    assert staying.result() is not None


async def test_an_expired_login_is_looked_up_once_and_lets_nobody_in(
    elsewhere: Elsewhere,
) -> None:
    elsewhere.login = Login(new_id(), elsewhere.user.id, datetime.now(tz=UTC).timestamp() - 1)
    await elsewhere.parts.store.add_login(elsewhere.login)

    assert await elsewhere.resolved(elsewhere.cookie()) is None
