"""Which handshakes become tunnels: only those that both sides have said and proven."""

import pytest

from gateway.wire.fields import BadHead
from gateway.wire.handshake import accept, check_switched
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from gateway.wire.response_head import parse_response
from tests.support.websocket import ASK, SWITCH
from tests.support.wire import client, plays_once, relaying


def test_key_of_the_standards_example_has_the_standards_answer() -> None:
    assert accept(b"dGhlIHNhbXBsZSBub25jZQ==") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_answer_to_the_key_is_a_switch() -> None:
    check_switched(parse_request(ASK, HeadLimits(), Blocks()).fields, parse_response(SWITCH))


@pytest.mark.behaviour(70)
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (SWITCH.replace(b"websocket", b"h2c"), "protocol"),
        (SWITCH.replace(b"websocket", b"websocket, h2c"), "protocol"),
        (SWITCH.replace(b"Upgrade: websocket\r\n", b""), "protocol"),
        (SWITCH.replace(b"s3pP", b"S3PP"), "Accept"),
        (SWITCH.replace(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", b""), "Accept"),
        (SWITCH.replace(b"Sec-WebSocket-Protocol: p", b"Sec-WebSocket-Accept: x"), "Accept"),
    ],
)
def test_switch_without_its_proof_is_refused(answer: bytes, said: str) -> None:
    with pytest.raises(BadHead, match=said) as refused:
        check_switched(parse_request(ASK, HeadLimits(), Blocks()).fields, parse_response(answer))

    assert refused.value.status == 502


@pytest.mark.behaviour(70)
async def test_switch_that_is_not_proven_reaches_no_client() -> None:
    answer = SWITCH.replace(b"s3pP", b"S3PP")
    async with relaying(plays_once(answer)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)

        assert (await reader.until(b"invalid")).startswith(b"HTTP/1.1 502 ")


@pytest.mark.behaviour(69)
async def test_upstream_answers_for_the_versions_that_it_speaks() -> None:
    answer = (
        b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nno"
    )
    ask = ASK.replace(b"Version: 13", b"Version: 8")
    async with relaying(plays_once(answer)) as served, client(served.port) as (reader, writer):
        writer.write(ask)

        assert await reader.until(b"no") == answer
        assert b"Sec-WebSocket-Version: 8\r\n" in served.raw.received[0]


@pytest.mark.behaviour(70)
@pytest.mark.parametrize("version", [b"Sec-WebSocket-Version: 8\r\n", b""])
async def test_switch_to_another_version_is_refused(version: bytes) -> None:
    ask = ASK.replace(b"Sec-WebSocket-Version: 13\r\n", version)
    async with relaying(plays_once(SWITCH)) as served, client(served.port) as (reader, writer):
        writer.write(ask)

        assert (await reader.until(b"invalid")).startswith(b"HTTP/1.1 502 ")
