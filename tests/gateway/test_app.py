"""What the parts do for each other once they are put together."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway import administration, following
from gateway.accounts import new_id
from gateway.errors import GatewayError
from gateway.orchestrator_client import OrchestratorClient
from gateway.roster import Contents, Login
from gateway.store import Store
from tests.support.front import Gateway, gateway
from tests.support.waiting import until


@pytest.fixture
async def gw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gateway]:
    monkeypatch.setattr(following, "LOOK_EVERY_S", 0.01)
    async with gateway(tmp_path) as running:
        yield running


async def test_a_defect_is_logged_once(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(type(gw.parts.store), "agents_of", broken)
    status, _, body = await gw.ask("/api/agents")

    assert status == 500
    assert b"secret" not in body
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in told] == ["own request failed: GET /api/agents"]
    assert "a secret detail" in caplog.text


async def test_a_new_password_keeps_out_who_came_in_by_the_old_one(gw: Gateway) -> None:
    await _set_password(gw)

    await until(partial(_is_kept_out, gw), "the login ended")


async def test_a_new_password_ends_what_is_open_under_the_old_one(gw: Gateway) -> None:
    gw.container.answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
    async with AsyncExitStack() as stack:
        stream = await gw.open("/event", stack)
        await stream.until(b"data: 1")

        await _set_password(gw)

        with anyio.fail_after(5):
            await stream.rest()


async def test_a_look_at_the_store_ends_nothing_else(gw: Gateway) -> None:
    await following.look(gw.parts)

    assert not await _is_kept_out(gw)


async def test_a_store_that_cannot_be_read_is_looked_at_again(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = anyio.Event()

    async def failing(_: Store) -> Contents:
        failed.set()
        raise GatewayError("storage_unavailable", "Not now.")

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Store, "contents", failing)
        with anyio.fail_after(5):
            await failed.wait()
    assert not await _is_kept_out(gw)
    await _set_password(gw)

    await until(partial(_is_kept_out, gw), "the login ended")


async def test_who_was_let_in_elsewhere_is_let_in(gw: Gateway) -> None:
    elsewhere = await _cookie_from_elsewhere(gw)

    status, _, _ = await gw.ask("/gateway/me", who=elsewhere)

    assert status == 200


async def test_nobody_is_sent_away_because_the_store_cannot_tell(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*_: Any) -> list[Login]:
        raise GatewayError("storage_unavailable", "Not now.", retry_after_s=5)

    elsewhere = await _cookie_from_elsewhere(gw)
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Store, "logins_among", failing)
        status, headers, body = await gw.ask("/gateway/me", who=elsewhere)

    assert (status, headers["retry-after"]) == (503, "5")
    assert b"storage_unavailable" in body
    assert (await gw.ask("/gateway/me", who=elsewhere))[0] == 200
    assert (await gw.ask("/gateway/me"))[0] == 200


async def test_one_scrape_tells_of_the_gateway_and_of_the_orchestrator(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def told(_: OrchestratorClient) -> str:
        return 'opencode_gateway_containers{state="ready"} 3\n'

    monkeypatch.setattr(OrchestratorClient, "metrics", told)

    status, _, body = await gw.ask("/gateway/metrics")

    assert status == 200
    assert body.count(b"\nopencode_gateway_orchestrator_connected ") == 1
    assert body.count(b'\nopencode_gateway_containers{state="ready"} 3\n') == 1


@pytest.mark.parametrize("away", ["refuses", "is silent"])
async def test_the_gateway_tells_its_own_metrics_when_the_orchestrator_does_not(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    async def not_told(_: OrchestratorClient) -> str:
        if away == "is silent":
            await anyio.sleep_forever()
        raise GatewayError("orchestrator_unavailable", "It does not answer.")

    monkeypatch.setattr(OrchestratorClient, "metrics", not_told)

    with anyio.fail_after(3):
        status, _, body = await gw.ask("/gateway/metrics")

    assert status == 200
    assert body.endswith(b"\nopencode_gateway_orchestrator_connected 1.0\n")


async def _cookie_from_elsewhere(gw: Gateway) -> str:
    """The cookie of a login that this gateway was not told of."""
    (user,) = await gw.parts.store.users()
    login = Login(new_id(), user.id, time.time() + 60)
    await gw.parts.store.add_login(login)
    pair = gw.parts.cookies.set_header(login.id, None).partition(";")[0]
    return f"Cookie: {pair}\r\n"


async def _set_password(gw: Gateway) -> None:
    await administration.set_password(gw.parts.store, "u", "another password")


async def _is_kept_out(gw: Gateway) -> bool:
    status, _, _ = await gw.ask("/gateway/me")
    return status == 401
