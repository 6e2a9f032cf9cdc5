"""A shared service that accepts connections is not yet one that answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway import shared_readiness
from tests.support.front import Gateway, gateway
from tests.support.wire import until


@pytest.fixture
async def gw(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway whose container cannot be had, so that the shared service is asked."""
    async with gateway(tmp_path) as running:
        running.orchestrator.ready_at = None
        running.orchestrator.retry_after_s = 60
        yield running
        running.shared.wakes.set()
        running.shared.hang_up()
        await until(lambda: not running.shared.open)


def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_readiness, "_PATIENCE_S", 0.3)
    monkeypatch.setattr(shared_readiness, "_ONE_TRY_S", 0.1)


async def test_request_is_not_given_to_one_that_only_accepts(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    _impatient(monkeypatch)
    gw.shared.wakes.clear()

    status, headers, body = await gw.ask("/config")

    assert (status, json.loads(body)["data"]["code"]) == (503, "shared_unavailable")
    assert "retry-after" in headers
    assert gw.shared.heads == []


async def test_request_waits_for_one_that_boots(
    gw: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_readiness, "_ONE_TRY_S", 0.1)
    gw.shared.wakes.clear()
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(gw.ask("/config"))
        await until(lambda: gw.shared.connections > 1)
        gw.shared.wakes.set()

    assert asked.result()[2] == b'"shared"'


async def test_one_that_is_not_there_is_told_at_once(gw: Gateway) -> None:
    gw.shared.stop()

    status, _, body = await gw.ask("/config")

    assert (status, json.loads(body)["data"]["code"]) == (503, "shared_unavailable")


async def test_one_that_answered_is_not_looked_at_again(gw: Gateway) -> None:
    await gw.ask("/config")
    looks = gw.shared.looks
    await gw.ask("/config")

    assert gw.shared.looks == looks == 1


async def test_one_that_failed_is_looked_at_again(gw: Gateway) -> None:
    await gw.ask("/config")
    gw.shared.dies = True
    status, _, _ = await gw.ask("/session", method="POST")
    gw.shared.dies = False
    await gw.ask("/config")

    assert (status, gw.shared.looks) == (502, 2)
