"""Behaviours 69 to 78: handshakes, and the bytes of the tunnels that they make."""

import asyncio
import secrets
from itertools import pairwise

import pytest

from tests.support.front import Gateway, RawOpenCode
from tests.support.websocket import ASK, SWITCH, echo, switches
from tests.support.wire import Recorded, ask, client, plays, plays_once, relaying, within

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
MASK = b"\x00\xff\x55\xaa"


def frame(first: int, payload: bytes, *, masked: bool) -> bytes:
    """Return a frame whose first byte and (already masked) payload are given."""
    size, bit = len(payload), 0x80 if masked else 0
    if size < 126:
        length = bytes((bit | size,))
    elif size < 65_536:
        length = bytes((bit | 126,)) + size.to_bytes(2, "big")
    else:
        length = bytes((bit | 127,)) + size.to_bytes(8, "big")
    return bytes((first,)) + length + (MASK if masked else b"") + payload


async def exchanged(from_client: bytes, from_upstream: bytes) -> tuple[bytes, bytes]:
    """Send bytes through a tunnel both ways; return what the upstream and the client got."""

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(from_upstream)
        got.set_result(await reader.exactly(len(from_client)))
        await reader.rest()

    got: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        writer.write(from_client)
        down = await reader.exactly(len(from_upstream))
        return await within(got), down


# Handshakes


@pytest.mark.behaviour(69)
@pytest.mark.parametrize("chosen", [b"b", b"c", b"none-of-those"])
async def test_upstream_chooses_the_subprotocol(chosen: bytes) -> None:
    asked = ASK[:-2] + b"Sec-WebSocket-Protocol: a, b\r\nsec-websocket-protocol: c\r\n\r\n"
    answer = SWITCH.replace(b"Protocol: p", b"Protocol: " + chosen)
    async with relaying(plays_once(answer)) as served, client(served.port) as (reader, writer):
        writer.write(asked)

        assert await reader.head() == answer
        sent = bytes(served.raw.received[0])
        assert b"\r\nSec-WebSocket-Protocol: a, b\r\nsec-websocket-protocol: c\r\n" in sent


@pytest.mark.behaviour(69)
async def test_nothing_is_said_of_a_switch_before_the_upstream_has_said_it() -> None:
    refusal = b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 4\r\n\r\n\x00\xff\r\n"
    async with relaying(plays_once(refusal)) as served, client(served.port) as (reader, writer):
        writer.write(ASK + frame(0x81, b"early", masked=True))

        assert await reader.exactly(len(refusal)) == refusal


@pytest.mark.behaviour(70)
async def test_fields_of_one_hop_stay_out_of_the_switch() -> None:
    hop = b"Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout\r\nProxy-Connection: x\r\n"
    answer = SWITCH.replace(b"Connection: Up", hop + b"X-Kept: 1\r\nConnection: Up")
    async with relaying(plays_once(answer)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)

        assert await reader.head() == answer.replace(hop, b"")


@pytest.mark.behaviour(70)
@pytest.mark.parametrize(
    "key", [b"", KEY + KEY, b"Sec-WebSocket-Key: k\r\n", b"Sec-WebSocket-Key:\r\n"]
)
async def test_handshake_without_one_well_formed_key_is_refused(key: bytes) -> None:
    async with relaying(plays(SWITCH)) as served:
        got = await ask(served.port, ASK.replace(KEY, key))

        assert got.startswith(b"HTTP/1.1 400 ")
        assert served.raw.connections == 0


@pytest.mark.behaviour(70)
async def test_switch_that_nobody_asked_for_is_a_502() -> None:
    async with relaying(plays_once(SWITCH)) as served, client(served.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

        assert (await reader.until(b"invalid")).startswith(b"HTTP/1.1 502 ")


@pytest.mark.behaviour(71, 75)
async def test_fields_of_a_handshake_reach_the_upstream_as_they_were_sent() -> None:
    lines = (
        b"Origin: http://a\r\nCookie: a=1\r\nAuthorization: Bearer x\r\nX-Custom: \xe9\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, x-made-up; a=1\r\n"
        b"sec-websocket-extensions: y\r\n"
    )
    async with relaying(plays_once(SWITCH)) as served, client(served.port) as (reader, writer):
        writer.write(ASK[:-2] + lines + b"\r\n")
        await reader.head()

        sent = bytes(served.raw.received[0])
        assert sent.startswith(b"GET /pty/1/connect?x=%2F HTTP/1.1\r\nHost: a\r\n")
        assert lines in sent
        assert KEY in sent
        assert b"\r\nSec-WebSocket-Version: 13\r\n" in sent


@pytest.mark.behaviour(71)
async def test_whole_gateway_passes_a_handshake_with_the_containers_credential(
    gw: Gateway,
) -> None:
    gw.container.answer = b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"
    lines = b"Origin: http://gw.example\r\nX-Custom: 1\r\nCookie: a=1; %b; b=2\r\nHost: gw.example"
    async with client(gw.port) as (reader, writer):
        writer.write(ASK.replace(b"Host: a", lines % gw.cookie.encode()))
        await reader.head()

    (sent,) = gw.container.heads
    assert sent.startswith(b"GET /pty/1/connect?x=%2F HTTP/1.1\r\n")
    assert b"\r\nOrigin: http://gw.example\r\nX-Custom: 1\r\n" in sent
    assert b"\r\nCookie: a=1; b=2\r\n" in sent
    assert b"\r\nAuthorization: Basic " in sent
    assert gw.cookie.encode() not in sent


@pytest.mark.behaviour(78)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_of_a_handshake_is_relayed_and_nobody_goes_there(status: int) -> None:
    elsewhere = RawOpenCode(b"")
    await elsewhere.start()
    location = b"ws://127.0.0.1:%d/admin" % elsewhere.port
    answer = b"HTTP/1.1 %d There\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, location)
    async with relaying(plays_once(answer)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)

        assert await reader.head() == answer
    elsewhere.stop()

    assert elsewhere.heads == []


# Messages


@pytest.mark.behaviour(72)
@pytest.mark.parametrize(
    "frames",
    [
        [(0x81, b"text")],
        [(0x82, b"\x00\xff\r\n\r\n")],
        [(0x81, b""), (0x82, b"")],
        [(0x01, b"frag"), (0x89, b"between"), (0x00, b""), (0x80, b"ment")],
        [(0x81, b"\xff\xfe not UTF-8")],
        [(0x81, b"\xed\xa0\x80")],
        [(0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00")],
        [(0x41, b"\xf2\x48"), (0x80, b"\xcd\xc9\xc9\x07\x00")],
        [(0x83, b"reserved"), (0xB1, b"bits")],
        [(0x89, b"x" * 126)],
        [(0x82, b"1"), (0x82, b"x" * 125), (0x82, b"x" * 126)],
        [(0x82, b"x" * 65_535), (0x82, b"x" * 65_536)],
    ],
)
async def test_frames_arrive_byte_for_byte_both_ways(frames: list[tuple[int, bytes]]) -> None:
    up = b"".join(frame(first, payload, masked=True) for first, payload in frames)
    down = b"".join(frame(first, payload, masked=False) for first, payload in frames)

    assert await exchanged(up, down) == (up, down)


@pytest.mark.behaviour(72, 76)
async def test_message_of_megabytes_arrives_byte_for_byte() -> None:
    message = frame(0x82, secrets.token_bytes(16 * 1024 * 1024 + 1), masked=True)
    async with relaying(switches(echo)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        async with asyncio.TaskGroup() as beside:
            beside.create_task(_send(writer, message))
            back = await reader.exactly(len(message))

        assert back == message


async def _send(writer: asyncio.StreamWriter, message: bytes) -> None:
    for start, end in pairwise([*range(0, len(message), 65_536), len(message)]):
        writer.write(message[start:end])
        await writer.drain()


@pytest.mark.behaviour(67, 73)
async def test_pings_and_pongs_pass_and_none_is_made_up() -> None:
    asked, answered = frame(0x89, b"there?", masked=True), frame(0x8A, b"there?", masked=False)
    swept = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        assert await reader.exactly(len(asked)) == asked
        await swept.wait()
        writer.write(answered)
        await reader.rest()

    async with relaying(switches(script), head_s=0.0, idle_s=0.0) as served:
        async with client(served.port) as (reader, writer):
            writer.write(ASK)
            await reader.head()
            writer.write(asked)
            served.wiring.deadlines.sweep(asyncio.get_running_loop().time() + 86_400)
            swept.set()

            assert await reader.exactly(len(answered)) == answered
            writer.write_eof()
            assert await reader.rest() == b""
        assert served.raw.received[0].endswith(b"\r\n\r\n" + asked)


@pytest.mark.behaviour(74)
@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
)
async def test_code_and_reason_of_a_close_arrive_verbatim_both_ways(code: int) -> None:
    payload = code.to_bytes(2, "big") + "ordinary, é ✓".encode()
    up, down = frame(0x88, payload, masked=True), frame(0x88, payload, masked=False)

    assert await exchanged(up, down) == (up, down)


@pytest.mark.behaviour(74)
@pytest.mark.parametrize("payload", [b"", b"\x03", b"\x03\xed", b"\x03\xe8\xff"])
async def test_close_without_a_valid_code_stays_as_it_is(payload: bytes) -> None:
    up, down = frame(0x88, payload, masked=True), frame(0x88, payload, masked=False)

    assert await exchanged(up, down) == (up, down)


@pytest.mark.behaviour(75)
@pytest.mark.parametrize(
    "agreed", [b"permessage-deflate; server_no_context_takeover", b"x-made-up", b""]
)
async def test_extension_that_the_upstream_agrees_to_reaches_the_client(agreed: bytes) -> None:
    line = b"Sec-WebSocket-Extensions: " + agreed + b"\r\nConnection"
    answer = SWITCH.replace(b"Connection", line)
    async with relaying(plays_once(answer)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)

        assert await reader.head() == answer
