"""A crowd leaves in one moment, or stays for good: the others are served as before."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest

from gateway.wire.upstream import _MOST_IDLE
from tests.gateway.wire.properties.left import nothing_left
from tests.support.wire import Recorded, Served, client, relaying, until, within

CROWD = 1_000
STREAMS = 2 * _MOST_IDLE
SHORT = b"GET /short HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
EVENT = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"


class Upstream:
    """Answers what is short, opens streams, and lets everything else wait for ever."""

    def __init__(self) -> None:
        self.waiting = 0

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        with suppress(TimeoutError):
            while (head := await reader.head()).startswith(b"GET /short"):
                writer.write(OK)
            if head.startswith(b"GET /stream"):
                writer.write(EVENT)
            self.waiting += 1
            with suppress(ConnectionError):
                await reader._reader.read()
            self.waiting -= 1


async def short_requests(served: Served, count: int) -> None:
    """Ask as one client does, one after another."""
    async with client(served.port) as (reader, writer):
        for _ in range(count):
            writer.write(SHORT)
            assert (await reader.until(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.behaviour(66)
@pytest.mark.parametrize("everywhere", [True, False], ids=["while-waiting", "while-connecting"])
async def test_a_thousand_cancellations_at_once_leave_the_pool_usable(everywhere: bool) -> None:
    upstream = Upstream()
    async with relaying(upstream) as served:
        async with AsyncExitStack() as crowd:
            for number in range(CROWD):
                _, writer = await crowd.enter_async_context(client(served.port))
                writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
            least = CROWD if everywhere else 1
            await until(lambda: upstream.waiting >= least)
        await nothing_left(served)
        await until(lambda: upstream.waiting == 0)

        assert len(served.pool._open) == 0
        await short_requests(served, 3)
        assert len(served.pool._idle) == 1


@pytest.mark.behaviour(66)
async def test_more_streams_than_the_pool_keeps_do_not_starve_short_requests() -> None:
    upstream = Upstream()
    async with relaying(upstream) as served, AsyncExitStack() as streams:
        for _ in range(STREAMS):
            reader, writer = await streams.enter_async_context(client(served.port))
            writer.write(STREAM)
            await reader.until(b"\n\n")
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(short_requests(served, 50))

        assert upstream.waiting == STREAMS
        # The short ones have shared a few connections: the streams did not push these out.
        assert served.raw.connections <= STREAMS + 8


@pytest.mark.behaviour(66)
async def test_short_requests_are_served_while_a_thousand_wait() -> None:
    upstream = Upstream()
    async with relaying(upstream) as served, AsyncExitStack() as crowd:
        for number in range(CROWD):
            _, writer = await crowd.enter_async_context(client(served.port))
            writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % number)
        await within(short_requests(served, 100))
