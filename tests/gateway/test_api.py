"""What every endpoint of the API has in common: bad input, missing logins, failures below."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.routing import Route

from gateway.api import routes
from gateway.errors import GatewayError
from tests.support.gateway_api import AGENT, Browser, Gateway, gateway, refusal

JSON = {"Content-Type": "application/json"}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path) as served:
        yield served


@pytest.fixture
async def alice(served: Gateway) -> AsyncIterator[Browser]:
    async with served.logged_in("alice") as client:
        yield client


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{'name': 1}",
        b'{"name": NaN}',
        b'{"name": "\xff"}',
        b"[" * 60_000,
        b'{"name": ' + b"9" * 5000 + b"}",
    ],
)
async def test_what_is_no_json_is_told_so(alice: Browser, body: bytes) -> None:
    answer = await alice.post("/api/agents", content=body, headers=JSON)

    assert refusal(answer) == (400, "invalid_json", None)


@pytest.mark.parametrize("body", ["[]", "null", "7", '"text"', "true"])
async def test_a_body_must_be_an_object(alice: Browser, body: str) -> None:
    answer = await alice.post("/api/agents", content=body, headers=JSON)

    assert refusal(answer) == (422, "invalid_request", None)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json", ""]
)
async def test_only_json_is_read(alice: Browser, kind: str) -> None:
    for method, path in [
        ("POST", "/gateway/login"),
        ("POST", "/gateway/logout"),
        ("POST", "/api/agents"),
        ("POST", "/api/sessions"),
    ]:
        answer = await alice.request(method, path, content="{}", headers={"Content-Type": kind})
        assert refusal(answer) == (415, "unsupported_media_type", None), path


async def test_json_may_name_its_character_set(alice: Browser) -> None:
    kind = {"Content-Type": "Application/JSON; charset=utf-8"}

    answer = await alice.post("/api/sessions", content="{}", headers=kind)

    assert refusal(answer) == (409, "agent_required", None)


async def test_a_body_of_64_kib_is_read_and_a_larger_one_is_not(alice: Browser) -> None:
    fits = b'{"name":"' + b"x" * (64 * 1024 - 11) + b'"}'

    assert refusal(await alice.post("/api/agents", content=fits, headers=JSON))[0] == 422
    answer = await alice.post("/api/agents", content=fits + b" ", headers=JSON)
    assert refusal(answer) == (413, "body_too_large", None)


async def test_a_body_where_none_is_wanted_is_limited_too(alice: Browser) -> None:
    answer = await alice.post("/gateway/logout", content=b" " * 70_000, headers=JSON)

    assert refusal(answer) == (413, "body_too_large", None)


@pytest.mark.parametrize("path", ["/api/agents/1/2", "/api/sessions/x/unknown", "/gateway/nothing"])
async def test_an_unknown_path_is_404_in_our_shape(alice: Browser, path: str) -> None:
    assert refusal(await alice.get(path)) == (404, "not_found", None)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/agents", "GET, HEAD, POST"),
        ("/api/agents/1", "DELETE, GET, HEAD, PATCH"),
        ("/api/sessions/1/start", "POST"),
        ("/gateway/me", "GET, HEAD"),
    ],
)
async def test_an_impossible_method_is_405_naming_the_possible_ones(
    alice: Browser, path: str, allowed: str
) -> None:
    answer = await alice.put(path, json={})

    assert refusal(answer) == (405, "method_not_allowed", None)
    assert answer.headers["Allow"] == allowed


OPEN = {"/gateway/login", "/gateway/logout", "/gateway/health", "/gateway/openapi.json"}
GUARDED = [
    (method, route.path)
    for route in routes
    if isinstance(route, Route) and route.path not in OPEN
    for method in sorted((route.methods or set()) - {"HEAD"})
]


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_nobody_gets_nothing(served: Gateway, method: str, path: str) -> None:
    async with served.client() as stranger:
        answer = await stranger.request(method, path)

    assert refusal(answer) == (401, "authentication_required", None)
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


async def test_a_pages_script_gets_no_dialog_of_the_browsers(served: Gateway) -> None:
    async with served.client(**{"Sec-Fetch-Mode": "cors"}) as script:
        answer = await script.get("/api/sessions")

    assert refusal(answer) == (401, "authentication_required", None)
    assert "WWW-Authenticate" not in answer.headers


async def test_a_forged_cookie_is_nobody(served: Gateway) -> None:
    name = served.parts.cookies.name
    async with served.client(Cookie=f"{name}={'a' * 32}-.forged") as forger:
        assert refusal(await forger.get("/gateway/me"))[0] == 401


async def test_health_asks_the_database_and_nobody_for_a_login(served: Gateway) -> None:
    async with served.client() as watcher:
        answer = await watcher.get("/gateway/health")

    assert answer.status_code == 200
    assert answer.json() == {
        "healthy": True,
        "version": "0.1.0",
        "orchestrator": {"connected": True},
        "shared": {"configured": False},
    }
    assert served.directory.asked == []


async def test_a_database_that_is_gone_is_unhealthy(
    served: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail() -> None:
        raise GatewayError("storage_unavailable", "It does not answer.", retry_after_s=5)

    monkeypatch.setattr(type(served.parts.store), "check", lambda _: fail())
    async with served.client() as watcher:
        answer = await watcher.get("/gateway/health")

    assert answer.status_code == 503
    assert answer.json()["healthy"] is False
    assert answer.json()["why"] == "It does not answer."


async def test_a_locked_database_is_503_and_nothing_is_made(
    served: Gateway, alice: Browser, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        answer = await alice.post("/api/agents", json=AGENT)
    finally:
        other.close()

    assert refusal(answer) == (503, "storage_unavailable", None)
    assert answer.headers["Retry-After"] == "5"
    assert (await alice.get("/api/agents")).json() == {"agents": []}


async def test_what_broke_inside_stays_inside(
    served: Gateway,
    alice: Browser,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(type(served.parts.store), "agents_of", broken)
    answer = await alice.get("/api/agents")

    assert refusal(answer) == (500, "internal_error", None)
    assert "secret detail" not in answer.text


async def test_what_starlette_refuses_is_told_in_our_shape(served: Gateway, alice: Browser) -> None:
    async def refuse(_: Request) -> None:
        raise HTTPException(400, "Too many parts")

    served.app.router.routes.append(Route("/gateway/odd", refuse))

    answer = await alice.get("/gateway/odd")

    assert refusal(answer) == (400, "bad_request", None)
    assert answer.json()["data"]["message"] == "Too many parts."


async def test_a_login_that_outlived_its_account_is_nobody(served: Gateway, alice: Browser) -> None:
    async with served.parts.store._database.write() as connection:
        await connection.exec_driver_sql("DELETE FROM users")

    assert refusal(await alice.get("/gateway/me"))[1] == "authentication_required"
