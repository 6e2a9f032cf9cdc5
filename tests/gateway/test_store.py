"""What is kept, on both databases, and what their failures look like from outside."""

import json
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from gateway.errors import GatewayError
from gateway.roster import Contents, Login, Session, User
from gateway.store import Account, Agent, Store
from migrations import upgrade
from tests.support import postgresql

NOW = datetime(2026, 11, 22, 12, 0, 0, 250_000, UTC)
ALICE = Account(User("a" * 32, "alice", "user"), "$argon2id$…", NOW)
BOB = Account(User("b" * 32, "bob", "administrator"), None, NOW)
AGENT = Agent(
    id="1" * 32,
    user_id="a" * 32,
    name="Claude",
    provider="anthropic",
    model=None,
    base_url=None,
    image=None,
    limits={"cpus": 0.5, "pids": 100},
    sealed_token=b"\x00sealed",
    token_hint="…last",
    created_at=NOW,
)
SESSION = Session("5" * 32, "a" * 32, "1" * 32, "Ein Löwe 🦁", "f" * 64, NOW)
LOGIN = Login("c" * 32, "a" * 32, NOW.timestamp() + 60)


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    with postgresql.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite+aiosqlite:///{tmp_path}/gateway.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    await upgrade(url, "gateway")
    store = await anyio.to_thread.run_sync(Store, url)
    if request.param == "postgresql":
        async with store._database.write() as connection:
            await connection.exec_driver_sql("TRUNCATE users CASCADE")
    yield store
    await store.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite+aiosqlite:///{tmp_path}/gateway.db"
    await upgrade(url, "gateway")
    store = await anyio.to_thread.run_sync(Store, url, 0.05)
    await store.add_account(ALICE)
    yield store
    await store.close()


@pytest.fixture
async def filled(store: Store) -> Store:
    await store.add_account(ALICE)
    await store.add_account(BOB)
    await store.add_agent(AGENT)
    await store.add_session(SESSION)
    return store


def modes(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def drivers_threads_ended() -> None:
    """Wait: after a failed opening, aiosqlite's thread still answers the loop."""
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            thread.join(10)


async def refused(code: str, awaitable: object) -> GatewayError:
    with pytest.raises(GatewayError) as error:
        await awaitable  # type: ignore[misc]  # each call under test has a type of its own
    assert error.value.code == code
    return error.value


async def test_what_goes_in_comes_out(filled: Store) -> None:
    await filled.add_login(LOGIN)

    assert await filled.account("alice") == ALICE
    assert await filled.user("b" * 32) == BOB.user
    assert await filled.users() == [ALICE.user, BOB.user]
    assert await filled.agent("1" * 32) == AGENT
    assert await filled.agents_of("a" * 32) == [AGENT]
    assert await filled.agents() == [("a" * 32, "1" * 32)]
    assert await filled.session("5" * 32) == SESSION
    assert await filled.sessions_of("a" * 32) == [SESSION]
    assert await filled.sessions() == [SESSION]
    assert await filled.logins() == [LOGIN]
    await filled.check()


async def test_what_is_not_there_is_none(store: Store) -> None:
    assert await store.account("nobody") is None
    assert await store.user("0") is None
    assert await store.agent("0") is None
    assert await store.session("0") is None
    assert await store.agents_of("0") == []
    assert await store.sessions_of("0") == []


async def test_times_of_another_zone_are_kept_as_the_same_moment(store: Store) -> None:
    there = NOW.astimezone(tz=None).replace(tzinfo=None).astimezone()
    await store.add_account(Account(ALICE.user, None, there))

    account = await store.account("alice")

    assert account is not None
    assert account.created_at == NOW
    assert account.created_at.utcoffset() == timedelta(0)


async def test_a_username_is_given_once(filled: Store) -> None:
    again = Account(User("d" * 32, "alice", "user"), None, NOW)

    await refused("username_taken", filled.add_account(again))


async def test_a_password_can_be_changed(filled: Store) -> None:
    await filled.set_password_hash("a" * 32, "new")

    account = await filled.account("alice")
    assert account is not None
    assert account.password_hash == "new"


async def test_a_new_password_ends_its_users_logins_and_no_others(filled: Store) -> None:
    await filled.add_login(LOGIN)
    await filled.add_login(replace(LOGIN, id="d" * 32, user_id="b" * 32))

    await filled.set_password_hash("a" * 32, "new")

    assert (await filled.contents()).logins == {"d" * 32}


async def test_a_link_lets_in_once(filled: Store) -> None:
    await filled.add_link("e" * 64, "b" * 32, NOW + timedelta(minutes=1))

    assert await filled.redeem_link("e" * 64, NOW) == BOB.user
    assert await filled.redeem_link("e" * 64, NOW) is None


async def test_of_many_who_open_one_link_at_once_one_comes_in(filled: Store) -> None:
    await filled.add_link("e" * 64, "b" * 32, NOW + timedelta(minutes=1))
    came_in: list[User] = []

    async def open_link() -> None:
        user = await filled.redeem_link("e" * 64, NOW)
        if user is not None:
            came_in.append(user)

    async with anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(open_link)

    assert came_in == [BOB.user]


async def test_an_expired_or_unknown_link_lets_nobody_in(filled: Store) -> None:
    await filled.add_link("e" * 64, "b" * 32, NOW)

    assert await filled.redeem_link("e" * 64, NOW) is None
    assert await filled.redeem_link("0" * 64, NOW) is None


async def test_a_link_or_login_for_nobody_is_refused(store: Store) -> None:
    await refused("user_not_found", store.add_link("e" * 64, "0", NOW))
    await refused("user_not_found", store.add_login(LOGIN))
    await refused("user_not_found", store.add_agent(AGENT))


async def test_a_login_that_was_ended_is_gone(filled: Store) -> None:
    await filled.add_login(LOGIN)

    await filled.remove_login(LOGIN.id)

    assert await filled.logins() == []


async def test_what_expired_is_forgotten(filled: Store) -> None:
    await filled.add_login(LOGIN)
    await filled.add_login(Login("d" * 32, "a" * 32, NOW.timestamp() - 1))

    await filled.remove_expired(NOW)

    assert await filled.logins() == [LOGIN]


async def test_a_change_sets_only_what_it_names(filled: Store) -> None:
    await filled.change_agent(AGENT.id, {"name": "Renamed", "limits": {}})
    await filled.change_agent(AGENT.id, {"model": "opus"})
    await filled.change_agent(AGENT.id, {})

    agent = await filled.agent(AGENT.id)
    assert agent is not None
    assert (agent.name, agent.model, agent.limits) == ("Renamed", "opus", {})
    assert agent.sealed_token == AGENT.sealed_token


async def test_an_agent_in_use_stays(filled: Store) -> None:
    await refused("agent_in_use", filled.remove_agent(AGENT.id))
    assert await filled.agent(AGENT.id) == AGENT

    await filled.remove_session(SESSION.id)
    await filled.remove_agent(AGENT.id)
    assert await filled.agent(AGENT.id) is None


async def test_a_session_needs_its_agent(store: Store) -> None:
    await store.add_account(ALICE)

    await refused("agent_not_found", store.add_session(SESSION))

    assert await store.sessions() == []


async def test_its_contents_are_told_by_id(filled: Store) -> None:
    await filled.add_login(LOGIN)

    assert await filled.contents() == Contents(
        users={"a" * 32, "b" * 32},
        logins={"c" * 32},
        sessions={"5" * 32},
        agents={("a" * 32, "1" * 32)},
    )


async def test_its_contents_are_told_whole_however_many_they_are(filled: Store) -> None:
    made = {f"{number:032}" for number in range(1, 1101)}
    values = ", ".join(f"('{each}', '{'a' * 32}', '2026-11-22 12:00:00')" for each in made)
    async with filled._database.write() as connection:
        await connection.exec_driver_sql(f"INSERT INTO logins VALUES {values}")

    assert (await filled.contents()).logins == made


async def test_logins_and_sessions_are_found_among_others(filled: Store) -> None:
    await filled.add_login(LOGIN)
    other = replace(SESSION, id="6" * 32, token_hash="e" * 64)
    await filled.add_session(other)

    assert await filled.logins_among([LOGIN.id, "d" * 32]) == [LOGIN]
    assert await filled.logins_among([]) == []
    assert await filled.sessions_among([SESSION.id], []) == [SESSION]
    assert await filled.sessions_among([], [other.token_hash, "d" * 64]) == [other]
    assert await filled.sessions_among([], []) == []


async def test_the_latest_shared_conversations_can_be_asked_for_alone(filled: Store) -> None:
    await filled.add_shared_conversation("ses_1", SESSION.id, NOW - timedelta(minutes=5))
    await filled.add_shared_conversation("ses_2", SESSION.id, NOW)

    late = await filled.shared_conversations(NOW - timedelta(minutes=1))

    assert late == [("ses_2", SESSION.id)]


async def test_shared_conversations_go_with_their_session(filled: Store) -> None:
    await filled.add_shared_conversation("ses_1", SESSION.id, NOW)
    assert await filled.shared_conversations() == [("ses_1", SESSION.id)]

    await filled.remove_session(SESSION.id)

    assert await filled.shared_conversations() == []


async def test_a_conversation_known_or_too_late_changes_nothing(filled: Store) -> None:
    await filled.add_shared_conversation("ses_1", SESSION.id, NOW)
    await filled.add_shared_conversation("ses_1", SESSION.id, NOW)
    await filled.add_shared_conversation("ses_2", "0", NOW)

    assert await filled.shared_conversations() == [("ses_1", SESSION.id)]


async def test_many_writers_at_once_wait_for_each_other(filled: Store) -> None:
    async with anyio.create_task_group() as group:
        for number in range(40):
            login = Login(f"{number:032}", "a" * 32, LOGIN.expires_at)
            group.start_soon(filled.add_login, login)

    assert len(await filled.logins()) == 40


async def test_the_tables_are_what_the_migrations_made(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import Connection  # noqa: TID251 - the migrations are compared in its terms

    from gateway.store.tables import metadata

    def differences(connection: Connection) -> list[object]:
        options = {"version_table": "gateway_revision", "compare_type": True}
        return list(
            compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
        )

    async with store._database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_the_database_is_readable_by_its_owner_alone(tmp_path: Path, sqlite: Store) -> None:
    assert modes(tmp_path) == {
        "gateway.db": 0o600,
        "gateway.db-wal": 0o600,
        "gateway.db-shm": 0o600,
    }


async def test_a_locked_database_is_a_sentence_and_a_time_to_wait(
    tmp_path: Path, sqlite: Store
) -> None:
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        error = await refused("storage_unavailable", sqlite.add_login(LOGIN))
    finally:
        other.close()

    assert error.status == 503
    assert error.headers == {"Retry-After": "5"}
    await sqlite.add_login(LOGIN)


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path, sqlite: Store) -> None:
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        assert await sqlite.account("alice") == ALICE
    finally:
        other.close()


async def fill_disk(store: Store) -> None:
    """SQLite's own ceiling fails with the same SQLITE_FULL as the disk, and needs no small disk."""
    async with store._database.write() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")


async def test_a_full_disk_is_507_and_changes_nothing(sqlite: Store) -> None:
    await fill_disk(sqlite)

    big = replace(AGENT, sealed_token=b"x" * 100_000)
    error = await refused("storage_full", sqlite.add_agent(big))

    assert error.status == 507
    assert await sqlite.agents() == []


async def test_a_database_that_cannot_be_opened_is_told_without_its_address(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/missing/gateway.db"
    store = await anyio.to_thread.run_sync(Store, url)

    error = await refused("storage_unavailable", store.users())

    assert str(tmp_path) not in json.dumps(error.to_json())
    assert "unable to open database file" in caplog.text
    await store.close()
    await anyio.to_thread.run_sync(drivers_threads_ended)


async def test_a_server_that_is_not_there_is_told_the_same_way() -> None:
    store = Store("postgresql+asyncpg://me:hunter2@127.0.0.1:1/gateway")

    error = await refused("storage_unavailable", store.users())

    assert "hunter2" not in json.dumps(error.to_json())
    await store.close()


async def test_secrets_are_in_no_log_line(sqlite: Store, caplog: pytest.LogCaptureFixture) -> None:
    await fill_disk(sqlite)

    await refused("storage_full", sqlite.set_password_hash("a" * 32, "hunter2" * 20_000))

    assert "database or disk is full" in caplog.text
    assert "hunter2" not in caplog.text


async def test_two_who_read_before_they_write_wait_for_each_other(sqlite: Store) -> None:
    both_reading = anyio.Event()
    counted: list[int] = []

    async def count_then_add(login: Login) -> None:
        async with sqlite._database.write() as connection:
            found = await connection.exec_driver_sql("SELECT count(*) FROM logins")
            counted.append(found.scalar_one())
            with anyio.move_on_after(0.02):  # without a lock, the other one gets here meanwhile
                await both_reading.wait()
            both_reading.set()
            row = (login.id, login.user_id, NOW.isoformat(" "))
            await connection.exec_driver_sql("INSERT INTO logins VALUES (?, ?, ?)", row)

    async with anyio.create_task_group() as group:
        group.start_soon(count_then_add, LOGIN)
        group.start_soon(count_then_add, replace(LOGIN, id="d" * 32))

    assert counted == [0, 1]
