"""Who reads or sends slowly is waited for in bounded memory, and slows nobody else.

Back-pressure is seen from outside: the other side's writing stops, after what the kernel's buffers
on both legs take. What the gateway itself holds is read from its transports.
"""

import asyncio
import tracemalloc
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager

import pytest

from gateway.wire.upstream import UpstreamConnection
from tests.support.websocket import ASK, SWITCH
from tests.support.wire import (
    Recorded,
    Served,
    client,
    relaying,
    until,
    within,
    write_until_blocked,
)

KIB, MIB = 1024, 1024 * 1024
# uvloop reads up to 256 KiB at once, and asks to pause above 64 KiB of what it could not write.
MOST_HELD = 512 * KIB
# What a script, a client and the buffers between them hold besides.
MOST_TRACED = 4 * MIB
# Both legs' socket buffers; Linux lets each grow to some MiB.
MOST_ON_THE_WAY = 64 * MIB
SHORT = b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
GIB_PROMISED = b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n"


class Upstream:
    """Streams without end, reads nothing of a body, or does neither in a tunnel; all on demand."""

    def __init__(self) -> None:
        self.sent = 0
        self.stopped = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        while (head := await reader.head()).startswith(b"GET /short"):
            writer.write(OK)
        if head.startswith(b"GET /endless"):
            writer.write(ENDLESS)
            await self.send_until_stopped(writer)
            await self.go_on.wait()
            await self.send_until_stopped(writer)
        elif head.startswith(b"GET /pty"):
            writer.write(SWITCH)
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await self.send_until_stopped(writer)
            await self.go_on.wait()
        else:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await self.go_on.wait()

    async def send_until_stopped(self, writer: asyncio.StreamWriter) -> None:
        self.sent = await write_until_blocked(writer)
        self.stopped.set()


@contextmanager
def traced() -> Iterator[None]:
    """Nothing within may hold more memory at its end than a few buffers."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < MOST_TRACED


def to_client(served: Served) -> int:
    """Bytes that wait in the gateway for its only client to read."""
    return served.connection.transport.get_write_buffer_size()


def to_upstream(served: Served) -> int:
    (connection,) = served.pool._open
    assert isinstance(connection, UpstreamConnection)
    return connection.transport.get_write_buffer_size()


async def neighbour(served: Served) -> None:
    async with client(served.port) as (reader, writer):
        for _ in range(50):
            writer.write(SHORT)
            await within(reader.until(b"ok"))


@pytest.mark.behaviour(60)
async def test_a_stalled_reader_stops_its_endless_stream_and_no_neighbour() -> None:
    upstream = Upstream()
    async with relaying(upstream) as served, client(served.port) as (reader, writer):
        with traced():
            writer.write(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.head()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await within(upstream.stopped.wait())
            assert to_client(served) < MOST_HELD
        assert upstream.sent < MOST_ON_THE_WAY
        await neighbour(served)

        upstream.stopped.clear()
        upstream.go_on.set()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await reader.exactly(upstream.sent)) == upstream.sent


@pytest.mark.behaviour(37)
async def test_a_stalled_upstream_blocks_who_uploads_a_gibibyte() -> None:
    upstream = Upstream()
    async with relaying(upstream) as served, client(served.port) as (_, writer):
        with traced():
            writer.write(GIB_PROMISED)
            sent = await write_until_blocked(writer)
            assert to_upstream(served) < MOST_HELD
        assert sent < MOST_ON_THE_WAY
        await neighbour(served)


@pytest.mark.behaviour(76)
async def test_a_tunnel_holds_up_either_side_when_the_other_stalls() -> None:
    upstream = Upstream()
    async with relaying(upstream) as served, client(served.port) as (reader, writer):
        with traced():
            writer.write(ASK)
            assert await reader.head() == SWITCH
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            sent = await write_until_blocked(writer)
            await within(upstream.stopped.wait())
            assert to_client(served) < MOST_HELD
            assert to_upstream(served) < MOST_HELD
        assert max(sent, upstream.sent) < MOST_ON_THE_WAY
        await neighbour(served)


@pytest.mark.behaviour(67)
@pytest.mark.parametrize("head_s", [0.5])
async def test_slow_heads_are_cut_at_their_deadline_and_stop_nobody(head_s: float) -> None:
    """Three hundred clients that send their heads a byte at a time, as slowloris does."""
    line = b"GET / HTTP/1.1\r\nHost: a\r\nX: "
    async with relaying(Upstream(), head_s=head_s) as served, AsyncExitStack() as crowd:
        with traced():
            slow = [await crowd.enter_async_context(client(served.port)) for _ in range(300)]
            for byte in line:
                for _, writer in slow:
                    writer.write(bytes([byte]))
                await asyncio.sleep(0)
            await neighbour(served)
        for reader, _ in slow:
            assert (await reader.rest()).startswith(b"HTTP/1.1 408 ")
        assert served.raw.connections == 1
        assert len(served.door.heads) == 50


@pytest.mark.behaviour(9, 67)
async def test_a_head_that_never_ends_is_cut_although_bytes_keep_coming() -> None:
    async with relaying(Upstream(), head_s=0.5) as served, client(served.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nX: ")
        answer = asyncio.get_running_loop().create_task(reader.rest())
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait([answer], timeout=0.05)

        assert (await answer).startswith(b"HTTP/1.1 408 ")
        await until(lambda: not served.state.connections)
