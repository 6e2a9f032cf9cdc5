"""What an operator may do from the command line."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from cryptography.fernet import Fernet

from gateway import administration
from gateway.accounts import Accounts, hash_token
from gateway.errors import GatewayError
from gateway.roster import User
from gateway.store import Store
from migrations import upgrade
from tests.support.gateway_api import AGENT, CHEAP

ACCOUNTS = Accounts([Fernet.generate_key()], CHEAP)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite+aiosqlite:///{tmp_path}/gateway.db"
    await upgrade(url, "gateway")
    store = await anyio.to_thread.run_sync(Store, url)
    yield store
    await store.close()


async def test_a_user_comes_in_with_the_password_that_was_set(store: Store) -> None:
    user = await administration.create_user(store, "Alice", "correct horse")

    account = await store.account("alice")
    assert account is not None
    assert account.user == user == User(user.id, "alice", "user")
    assert ACCOUNTS.verify(account.password_hash, "correct horse")


async def test_a_new_password_replaces_the_old(store: Store) -> None:
    await administration.create_user(store, "alice", "correct horse")

    await administration.set_password(store, "alice", "battery staple")

    account = await store.account("alice")
    assert account is not None
    assert not ACCOUNTS.verify(account.password_hash, "correct horse")
    assert ACCOUNTS.verify(account.password_hash, "battery staple")


@pytest.mark.parametrize(
    ("username", "password", "code"),
    [
        ("alice", "correct horse", "username_taken"),
        ("al ice", "correct horse", "invalid_request"),
        ("bob", "short", "invalid_request"),
    ],
)
async def test_a_user_that_cannot_be_is_refused(
    store: Store, username: str, password: str, code: str
) -> None:
    await administration.create_user(store, "alice")

    with pytest.raises(GatewayError) as refused:
        await administration.create_user(store, username, password)

    assert refused.value.code == code
    assert len(await administration.list_users(store)) == 1


async def test_a_user_who_is_not_there_has_no_password_to_set(store: Store) -> None:
    with pytest.raises(GatewayError, match="no user 'nobody'"):
        await administration.set_password(store, "nobody", "correct horse")


async def test_the_first_administrator_is_made_once(store: Store) -> None:
    made: list[User] = []

    async def ensure() -> None:
        made.append(await administration.ensure_first_administrator(store))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(ensure)

    assert len(set(made)) == 1
    assert made[0].role == "administrator"
    assert await store.users() == [made[0]]


async def test_an_administrator_who_is_there_is_the_first(store: Store) -> None:
    await administration.create_user(store, "alice")
    root = await administration.create_user(store, "root", None, "administrator")

    assert await administration.ensure_first_administrator(store) == root


async def test_a_plain_user_of_that_name_gains_nothing(store: Store) -> None:
    await administration.create_user(store, administration.FIRST_ADMINISTRATOR)

    with pytest.raises(GatewayError) as refused:
        await administration.ensure_first_administrator(store)

    assert refused.value.code == "username_taken"


async def test_a_link_is_kept_as_its_hash(store: Store) -> None:
    user = await administration.create_user(store, "alice")

    token = await administration.one_time_link(store, user)

    assert await store.redeem_link(token, datetime.now(tz=UTC)) is None
    assert await store.redeem_link(hash_token(token), datetime.now(tz=UTC)) == user


async def test_agents_and_sessions_keep_the_rules_of_the_api(store: Store) -> None:
    user = await administration.create_user(store, "alice")
    with pytest.raises(GatewayError, match="needs an agent"):
        await administration.create_session(store, user)
    with pytest.raises(GatewayError, match="no provider 'acme'"):
        await administration.create_agent(store, ACCOUNTS, [], user, {**AGENT, "provider": "acme"})

    agent = await administration.create_agent(store, ACCOUNTS, [], user, AGENT)
    session, token = await administration.create_session(store, user, title="Mine")

    assert session.agent_id == agent.id
    assert session.token_hash == hash_token(token)
    assert await store.sessions() == [session]
    assert ACCOUNTS.unseal(agent.sealed_token) == AGENT["token"]
