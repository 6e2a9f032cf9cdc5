"""Coming in by password or by link, and going out again."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from starlette.routing import Route

from gateway import administration
from gateway.accounts import hash_token
from gateway.api.logins import follow_link
from gateway.roster import Login
from tests.support.gateway_api import (
    PASSWORD,
    Browser,
    Gateway,
    gateway,
    refusal,
    session,
)

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path) as served:
        # The page at this address does the same with a token; without one it shows the form.
        served.app.router.routes.append(Route("/gateway/login", follow_link))
        yield served


@pytest.fixture
async def stranger(served: Gateway) -> AsyncIterator[Browser]:
    async with served.client() as client:
        yield client


def wish(username: str = "alice", password: str = PASSWORD) -> dict[str, str]:
    return {"username": username, "password": password}


async def test_a_password_sets_the_cookie(served: Gateway, stranger: Browser) -> None:
    user = await served.add_user("alice")

    answer = await stranger.post("/gateway/login", json=wish())

    assert answer.status_code == 204
    assert "HttpOnly" in answer.headers["Set-Cookie"]
    me = await stranger.get("/gateway/me")
    assert me.json() == {
        "user": {"id": user.id, "username": "alice", "role": "user"},
        "session": None,
    }


async def test_the_case_of_a_username_does_not_matter(served: Gateway, stranger: Browser) -> None:
    await served.add_user("alice")

    assert (await stranger.post("/gateway/login", json=wish("ALICE"))).status_code == 204


@pytest.mark.parametrize(
    "tried", [wish(password="wrong"), wish("nobody"), wish("bob"), wish(password=""), wish("é")]
)
async def test_wrong_unknown_and_without_password_look_the_same(
    served: Gateway, stranger: Browser, tried: dict[str, str]
) -> None:
    await served.add_user("alice")
    await served.add_user("bob", None)

    answer = await stranger.post("/gateway/login", json=tried)

    assert refusal(answer) == (401, "invalid_credentials", None)
    assert "Set-Cookie" not in answer.headers
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "username"),
        ({"username": "alice"}, "password"),
        ({"username": "alice", "password": None}, "password"),
        ({"username": 7, "password": "x"}, "username"),
        ({"username": "x" * 65, "password": "x"}, "username"),
        ({"username": "a\n", "password": "x"}, "username"),
        ({"username": "alice", "password": 7}, "password"),
        ({"username": "alice", "password": "x" * 1025}, "password"),
        ({"username": "alice", "password": "\ud800"}, "password"),
        ({"username": "alice", "password": "x", "remember": True}, "remember"),
        ({"username": "alice", "password": "x", "\ud800": True}, "\ud800"),
    ],
)
async def test_a_login_that_makes_no_sense_names_the_field(
    stranger: Browser, body: dict[str, object], field: str
) -> None:
    text = json.dumps(body)

    answer = await stranger.post("/gateway/login", content=text, headers=JSON)

    assert refusal(answer) == (422, "invalid_request", field)


async def test_the_eleventh_wrong_password_has_to_wait(served: Gateway, stranger: Browser) -> None:
    await served.add_user("alice")
    for _ in range(10):
        await stranger.post("/gateway/login", json=wish(password="wrong"))

    answer = await stranger.post("/gateway/login", json=wish())

    assert refusal(answer) == (429, "too_many_attempts", None)
    assert 290 <= int(answer.headers["Retry-After"]) <= 300


async def test_guessing_from_one_address_keeps_nobody_else_out(
    served: Gateway, stranger: Browser
) -> None:
    await served.add_user("alice")
    for _ in range(11):
        await stranger.post("/gateway/login", json=wish(password="wrong"))

    served.address = "192.0.2.2"

    assert (await stranger.post("/gateway/login", json=wish())).status_code == 204


async def test_many_guesses_at_once_count_each(served: Gateway, stranger: Browser) -> None:
    await served.add_user("alice")
    statuses: list[int] = []

    async def guess() -> None:
        answer = await stranger.post("/gateway/login", json=wish(password="wrong"))
        statuses.append(answer.status_code)

    async with anyio.create_task_group() as group:
        for _ in range(25):
            group.start_soon(guess)

    assert sorted(statuses) == [401] * 10 + [429] * 15


async def test_every_login_is_a_fresh_one(served: Gateway) -> None:
    async with served.logged_in("alice") as client:
        first = client.cookies[served.parts.cookies.name]
        await client.post("/gateway/login", json=wish())

        assert client.cookies[served.parts.cookies.name] != first
    assert len(await served.parts.store.logins()) == 2


async def test_coming_in_sweeps_out_what_expired(served: Gateway) -> None:
    user = await served.add_user("alice")
    await served.parts.store.add_login(Login("0" * 32, user.id, time.time() - 1))

    async with served.logged_in("alice"):
        assert len(await served.parts.store.logins()) == 1


async def test_logging_out_ends_the_login_everywhere(served: Gateway) -> None:
    async with served.logged_in("alice") as client:
        [login] = await served.parts.store.logins()
        stolen = dict(client.cookies)

        answer = await client.post("/gateway/logout")

        assert answer.status_code == 204
        assert "Max-Age=0" in answer.headers["Set-Cookie"]
        assert dict(client.cookies) == {}
        client.cookies.update(stolen)
        assert (await client.get("/gateway/me")).status_code == 401
    assert await served.parts.store.logins() == []
    assert served.live.closed == [f"login {login.id}"]


async def test_logging_out_twice_is_no_failure(stranger: Browser) -> None:
    answer = await stranger.post("/gateway/logout")

    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["Set-Cookie"]


async def test_an_access_token_cannot_log_out(served: Gateway, stranger: Browser) -> None:
    async with served.logged_in("alice") as client:
        token = (await session(client))["access_token"]

    answer = await stranger.post("/gateway/logout", headers={"Authorization": f"Bearer {token}"})

    assert refusal(answer) == (403, "login_required", None)


async def test_an_expired_login_is_nobody(served: Gateway) -> None:
    async with served.logged_in("alice") as client:
        [login] = await served.parts.store.logins()
        served.parts.roster.add_login(Login(login.id, login.user_id, time.time() - 1))

        assert (await client.get("/gateway/me")).status_code == 401


async def test_a_link_lets_in_once(served: Gateway, stranger: Browser) -> None:
    administrator = await administration.ensure_first_administrator(served.parts.store)
    token = await administration.one_time_link(served.parts.store, administrator)

    answer = await stranger.get("/gateway/login", params={"token": token})

    assert (answer.status_code, answer.headers["Location"]) == (303, "/gateway/")
    me = (await stranger.get("/gateway/me")).json()
    assert me["user"]["role"] == "administrator"
    again = await stranger.get("/gateway/login", params={"token": token})
    assert refusal(again) == (401, "invalid_link", None)


@pytest.mark.parametrize("token", ["", "unknown", "\x00", "é" * 5000])
async def test_an_unknown_link_lets_nobody_in(stranger: Browser, token: str) -> None:
    answer = await stranger.get("/gateway/login", params={"token": token})

    assert refusal(answer) == (401, "invalid_link", None)


async def test_an_expired_link_lets_nobody_in(served: Gateway, stranger: Browser) -> None:
    user = await served.add_user("alice")
    yesterday = datetime.now(tz=UTC) - timedelta(days=1)
    await served.parts.store.add_link(hash_token("late"), user.id, yesterday)

    answer = await stranger.get("/gateway/login", params={"token": "late"})

    assert refusal(answer) == (401, "invalid_link", None)


async def test_what_a_command_made_meanwhile_is_there_after_the_next_login(
    served: Gateway,
) -> None:
    user = await served.add_user("alice")
    store, accounts = served.parts.store, served.parts.accounts
    wanted = {"name": "Made by command", "provider": "openai", "token": "sk-0123456789"}
    await administration.create_agent(store, accounts, [], user, wanted)
    made, _ = await administration.create_session(store, user)

    async with served.logged_in("alice"):
        assert served.parts.roster.session(made.id) == made
        assert served.parts.roster.has_agent(user.id)
