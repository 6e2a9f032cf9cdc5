"""Behaviours 29 to 33: what follows a head is its body, and what follows that the next request."""

import asyncio

import pytest

from gateway.wire.door import Answer
from tests.support.exchange import GET, OK, SMUGGLED, forwarded
from tests.support.front import Gateway
from tests.support.wire import Recorded, ask, client, plays, relaying

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.behaviour(29)
@pytest.mark.parametrize(
    "trailer",
    [
        b"X-Forwarded-For: 6.6.6.6",
        b"Host: evil.example",
        b"Cookie: forged=1",
        b"Authorization: Basic forged",
        b"Content-Length: 99",
        b"Transfer-Encoding: gzip",
        b"Connection: host",
        b"Set-Cookie: forged=1",
    ],
)
async def test_trailer_of_a_request_becomes_no_field(trailer: bytes) -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"good\r\n")
        came.set()
        await reader.until(b"\r\n\r\n")
        writer.write(OK)

    came = asyncio.Event()
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(CHUNKED + b"4\r\ngood\r\n")
        await came.wait()
        writer.write(b"0\r\n" + trailer + b"\r\n\r\n")
        await reader.until(b"ok")

        assert served.raw.received[0] == CHUNKED + b"4\r\ngood\r\n0\r\n\r\n"


@pytest.mark.behaviour(30)
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"DELETE", b"OPTIONS", b"FOO"])
async def test_body_goes_with_any_method(method: bytes) -> None:
    first = method + b" / HTTP/1.1\r\nHost: a\r\n"
    length = first + b"Content-Length: 4\r\n\r\nbody"
    chunked = first + b"Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"

    assert await forwarded(length, end=b"body") == length
    assert await forwarded(chunked, end=b"\r\n0\r\n\r\n") == chunked


@pytest.mark.behaviour(30)
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"OPTIONS"])
async def test_what_follows_an_empty_body_is_the_next_request(method: bytes) -> None:
    async with relaying(plays(b"HTTP/1.1 204 No\r\n\r\n")) as served:
        first = method + b" / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"
        async with client(served.port) as (reader, writer):
            writer.write(first + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.head()
            await reader.head()

        assert served.raw.received[0] == first + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.behaviour(31)
@pytest.mark.parametrize("status", [401, 404, 413])
@pytest.mark.parametrize(
    "framing",
    [
        b"Content-Length: %d\r\n\r\n" % len(SMUGGLED),
        b"Content-Length: 99999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(SMUGGLED),
        b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED),
    ],
)
async def test_unread_body_is_never_taken_for_a_request(status: int, framing: bytes) -> None:
    async with relaying(plays(OK)) as served:
        served.door.chosen = lambda head: Answer(status, b"no")
        got = await ask(served.port, POST + framing + SMUGGLED)

        assert got.startswith(b"HTTP/1.1 %d " % status)
        assert got.count(b"HTTP/1.1 ") == 1
        assert len(served.door.heads) == 1


@pytest.mark.behaviour(31)
async def test_whole_gateway_takes_no_unread_body_for_a_request(gw: Gateway) -> None:
    body = b"GET /gateway/health HTTP/1.1\r\nHost: gw.example\r\n\r\n"
    for path in (b"/session", b"/gateway/nothing-here", b"/gateway/login"):
        first = b"PUT " + path + b" HTTP/1.1\r\nHost: gw.example\r\nContent-Length: 99999\r\n\r\n"
        got = await ask(gw.port, first + body)

        assert got.startswith(b"HTTP/1.1 4")
        assert got.count(b"HTTP/1.1 ") == 1
        assert b"healthy" not in got


@pytest.mark.behaviour(33)
@pytest.mark.parametrize("protocol", [b"h2c", b"foo", b"TLS/1.0", b"websocket/13", b"h2c, foo"])
async def test_other_upgrade_is_ignored_and_its_connection_goes_on(protocol: bytes) -> None:
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\nUpgrade: "

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.until(b"\r\n\r\nbody")
            writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(POST + upgrade + protocol + b"\r\nContent-Length: 4\r\n\r\nbody")
            await reader.until(b"ok")

        assert served.raw.received == [2 * (POST + b"Content-Length: 4\r\n\r\nbody")]


@pytest.mark.behaviour(33)
async def test_websocket_handshake_with_a_body_is_a_request_with_a_body() -> None:
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    framing = b"Content-Length: 4\r\n\r\nbody"
    first = b"GET / HTTP/1.1\r\nHost: a\r\n"

    assert await forwarded(first + upgrade + framing, end=b"body") == first + framing


@pytest.mark.behaviour(32)
async def test_pipelined_requests_go_up_one_at_a_time() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        for number in range(3):
            await reader.head()
            # Whatever else had been sent up would have come in the same read.
            unread.append(len(reader._reader._buffer))  # type: ignore[attr-defined]
            writer.write(OK.replace(b"ok", b"o%d" % number))

    unread: list[int] = []
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET * 3)
        for number in range(3):
            await reader.until(b"o%d" % number)

        assert unread == [0, 0, 0]
