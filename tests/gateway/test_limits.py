"""How much each may take, as an operator sets it, and how the whole gateway says so."""

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.limits import Limits, load_limits
from gateway.settings import SettingsError, load_settings
from tests.support.front import gateway, parsed
from tests.support.wire import client


def test_what_is_not_set_is_generous() -> None:
    assert load_limits({}) == Limits(32768, 16384, 128, 4 * 1024**3, 4096, 1024, 65536)


def test_each_limit_can_be_set() -> None:
    values = {
        "MAX_HEAD_BYTES": "1024", "MAX_TARGET_BYTES": "256", "MAX_HEADERS": "16",
        "MAX_BODY_BYTES": "0", "MAX_CONNECTIONS_PER_ADDRESS": "1",
        "MAX_CONNECTIONS_PER_SESSION": "0", "PIPELINED_BYTES": "1024",
    }  # fmt: skip

    assert load_limits(values) == Limits(1024, 256, 16, 0, 1, 0, 1024)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_HEAD_BYTES", "1023"),
        ("MAX_TARGET_BYTES", "0"),
        ("MAX_HEADERS", "many"),
        ("MAX_BODY_BYTES", "-1"),
        ("MAX_CONNECTIONS_PER_ADDRESS", "1.5"),
        ("MAX_CONNECTIONS_PER_SESSION", "1e3"),
        ("PIPELINED_BYTES", "١٠٢٤"),
    ],
)
def test_bad_limit_is_refused_by_its_name(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} must be a whole number"):
        load_settings({"STATE": str(tmp_path), name: value})


@pytest.mark.behaviour(9, 61)
async def test_whole_gateway_holds_to_them_and_says_so_in_its_own_shape(tmp_path: Path) -> None:
    async with (
        gateway(
            tmp_path, MAX_HEADERS="16", MAX_BODY_BYTES="9", MAX_CONNECTIONS_PER_SESSION="1"
        ) as gw,
        AsyncExitStack() as stack,
    ):
        many = {f"X_{n}": "1" for n in range(20)}
        refused = [
            await gw.ask("/session", **many),
            await gw.ask("/session", method="POST", Content_Length="10"),
        ]
        reader = await gw.open("/session", stack)
        await reader.head()
        refused.append(await gw.ask("/session"))

    assert [(status, json.loads(body)["data"]["code"]) for status, _, body in refused] == [
        (431, "head_too_large"), (413, "body_too_large"), (503, "too_many_connections"),
    ]  # fmt: skip
    assert refused[2][1]["retry-after"] == "5"


@pytest.mark.behaviour(61)
async def test_address_that_has_its_share_is_told_in_json(tmp_path: Path) -> None:
    async with (
        gateway(tmp_path, MAX_CONNECTIONS_PER_ADDRESS="1") as gw,
        client(gw.port) as (first, writer),
        client(gw.port) as (second, _),
    ):
        status, headers, body = parsed(await second.head(), await second.rest())
        writer.write(b"GET /gateway/health HTTP/1.1\r\nHost: gw.example\r\n\r\n")

        assert (await first.head()).startswith(b"HTTP/1.1 200 ")
    assert (status, headers["retry-after"], headers["connection"]) == (503, "5", "close")
    assert json.loads(body)["data"]["code"] == "too_many_connections"


async def test_gateways_own_paths_answer_for_a_session_that_is_full(tmp_path: Path) -> None:
    async with gateway(tmp_path, MAX_CONNECTIONS_PER_SESSION="1") as gw, AsyncExitStack() as stack:
        reader = await gw.open("/session", stack)
        await reader.head()

        status, _, _ = await gw.ask("/gateway/me")

    assert status == 200
