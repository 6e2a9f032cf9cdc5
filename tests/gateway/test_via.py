"""How a request that runs in a circle is known."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.via import Via
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from tests.support.front import Gateway, gateway

KEYS = (b"k" * 32, b"older" * 8)
OURS = b"opencode-gateway-adc036f09a2e"


@pytest.fixture
async def gw(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path) as running:
        yield running


def passed(*lines: bytes) -> bool:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"Via: %b\r\n" % line for line in lines)
    return Via(KEYS).has_passed(parse_request(raw + b"\r\n", HeadLimits(), Blocks()).fields)


@pytest.mark.behaviour(19)
@pytest.mark.parametrize("minor", [0, 1])
def test_line_names_the_version_that_the_client_spoke(minor: int) -> None:
    assert Via(KEYS).line(minor) == b"Via: 1.%d %b\r\n" % (minor, OURS)


def test_another_deployment_has_another_name() -> None:
    assert Via((b"other" * 8,)).line(1) != Via(KEYS).line(1)


@pytest.mark.behaviour(19)
@pytest.mark.parametrize(
    "lines",
    [
        (b"1.1 " + OURS,),
        (b"1.0 fred, 1.1 p.example, 1.1 " + OURS + b" (comment)",),
        (b"1.1 p.example", b"1.1 " + OURS),
    ],
)
def test_request_that_names_us_has_passed(lines: tuple[bytes, ...]) -> None:
    assert passed(*lines)


@pytest.mark.behaviour(19)
@pytest.mark.parametrize(
    "lines", [(), (b"1.1 p.example",), (b"1.1 opencode-gateway-000000000000",)]
)
def test_request_that_names_others_has_not(lines: tuple[bytes, ...]) -> None:
    assert not passed(*lines)


@pytest.mark.behaviour(19)
async def test_upstream_is_told_behind_those_before_us(gw: Gateway) -> None:
    _, headers, _ = await gw.ask("/session", Via="1.0 p.example")

    before, own = vias(gw)
    assert before == b"1.0 p.example"
    assert own.startswith(b"1.1 opencode-gateway-")
    assert "via" not in headers


@pytest.mark.behaviour(19)
async def test_request_that_comes_back_is_refused_and_asks_no_upstream(gw: Gateway) -> None:
    await gw.ask("/session")
    (own,) = vias(gw)

    status, _, body = await gw.ask("/session", Via=own.decode())

    assert status == 508
    assert b"SHARED_URL" in body
    assert len(gw.container.heads) == 1


def vias(gw: Gateway) -> list[bytes]:
    (head,) = gw.container.heads
    return [line[5:] for line in head.split(b"\r\n") if line.startswith(b"Via: ")]
