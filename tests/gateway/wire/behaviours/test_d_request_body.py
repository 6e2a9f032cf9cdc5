"""Behaviours 34 to 40: bodies on their way up, and what may come down meanwhile."""

import asyncio

import pytest

from tests.support.exchange import GET, OK, forwarded
from tests.support.wire import Recorded, client, plays, relaying, within

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.behaviour(34)
@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        (POST + b"Content-Length: 3\r\n\r\n", (b"a", b"b", b"c")),
        (CHUNKED, (b"1\r\na\r\n", b"1\r\nb\r\n", b"0\r\n\r\n")),
        (GET[:-2] + b"Content-Length: 2\r\n\r\n", (b"a", b"b")),
    ],
)
async def test_each_piece_arrives_before_the_next_is_sent(
    head: bytes, pieces: tuple[bytes, ...]
) -> None:
    came = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        for piece in pieces:
            came.set()
            await reader.exactly(len(piece))
        came.set()
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(head)
        for piece in pieces:
            await within(came.wait())
            came.clear()
            writer.write(piece)
        await reader.until(b"ok")

        assert served.raw.received[0] == head + b"".join(pieces)


@pytest.mark.behaviour(35)
@pytest.mark.parametrize(
    ("request_bytes", "end"),
    [
        (GET, b"\r\n\r\n"),
        (b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\r\n"),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", b"\r\n\r\n"),
        (POST + b"Content-Length: 0\r\n\r\n", b"\r\n\r\n"),
        (POST + b"Content-Length: 4\r\n\r\nbody", b"body"),
        (CHUNKED + b"0\r\n\r\n", b"\r\n0\r\n\r\n"),
        (CHUNKED + b"004\r\nbody\r\n1\r\n!\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"),
    ],
)
async def test_framing_stays_what_it_was(request_bytes: bytes, end: bytes) -> None:
    assert await forwarded(request_bytes, end=end) == request_bytes


@pytest.mark.behaviour(38)
@pytest.mark.parametrize("status", [b"401 No", b"413 Too much", b"200 Enough"])
@pytest.mark.parametrize("closes", [True, False])
async def test_final_answer_amid_the_upload_arrives_at_once(status: bytes, closes: bool) -> None:
    connection = b"Connection: close\r\n" if closes else b""
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"begin")
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n" + connection + b"\r\nno")
        if not closes:
            await go_on.wait()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(POST + b"Content-Length: 1000000\r\n\r\nbegin")
        got = await reader.until(b"\r\n\r\nno")
        writer.write(b"x" * 100_000 + GET)

        assert got.startswith(b"HTTP/1.1 " + status + b"\r\n")
        assert await reader.rest() == b""
        assert len(served.door.heads) == 1
        go_on.set()


@pytest.mark.behaviour(38)
async def test_refusal_is_not_lost_where_the_upstream_closes_on_an_unread_upload() -> None:
    """Closing so resets: what is sent on fails, with the answer still in the socket's buffer."""
    refusal = b"HTTP/1.1 413 Too much\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"begin")
        writer.write(refusal)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(POST + b"Content-Length: 99999999\r\n\r\nbegin" + b"x" * 8_000_000)

        assert (await reader.until(b"\r\n\r\nno")).startswith(b"HTTP/1.1 413 Too much\r\n")


@pytest.mark.behaviour(39)
async def test_megabytes_echoed_while_they_are_sent_neither_stall_nor_suffer() -> None:
    block, count = bytes(range(256)) * 256, 160

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(block) * count))
        for _ in range(count):
            writer.write(await reader.exactly(len(block)))
            await writer.drain()

    async def upload(writer: asyncio.StreamWriter) -> None:
        for _ in range(count):
            writer.write(block)
            await writer.drain()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % (len(block) * count))
        async with asyncio.TaskGroup() as beside:
            beside.create_task(upload(writer))
            await reader.head()
            for _ in range(count):
                assert await reader.exactly(len(block)) == block


# Expectations


@pytest.mark.behaviour(40)
@pytest.mark.parametrize("said", [b"100-continue", b"100-Continue", b"100-CONTINUE"])
async def test_upstream_says_when_it_wants_the_body(said: bytes) -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        assert b"\r\nExpect: " + said + b"\r\n" in await reader.head()
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.exactly(4)
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(POST + b"Expect: " + said + b"\r\nContent-Length: 4\r\n\r\n")
        assert await reader.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")

        assert (await reader.until(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.behaviour(40)
@pytest.mark.parametrize("status", [b"401 No", b"413 No", b"417 No"])
async def test_final_answer_instead_of_a_continue_comes_alone(status: bytes) -> None:
    refusal = b"HTTP/1.1 " + status + b"\r\nContent-Length: 2\r\n"
    async with (
        relaying(plays(refusal + b"\r\nno")) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")

        assert (await reader.until(b"\r\nno")).startswith(refusal)
        assert await reader.rest() == b""


@pytest.mark.behaviour(10, 40)
async def test_http_1_0_client_hears_no_continue() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.exactly(4)
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(POST.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\n")
        writer.write(b"Content-Length: 4\r\n\r\nbody")

        assert (await reader.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.behaviour(40)
async def test_unknown_expectation_is_the_upstreams_to_judge() -> None:
    sent = await forwarded(GET[:-2] + b"Expect: 200-ok;x=1\r\n\r\n")

    assert sent == GET[:-2] + b"Expect: 200-ok;x=1\r\n\r\n"
