"""What is too much: bodies, connections, and requests sent ahead of their turn."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from gateway.wire.door import Answer, Decision, Wait
from gateway.wire.live import Live
from gateway.wire.quota import Quota
from gateway.wire.request_head import RequestHead
from tests.support.wire import (
    Recorded,
    client,
    plays,
    relaying,
    until,
    within,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def takes_bodies(reader: Recorded, writer: asyncio.StreamWriter) -> None:
    head = await reader.head()
    if b"chunked" in head:
        await reader.until(b"0\r\n\r\n")
    else:
        await reader.exactly(5)
    writer.write(OK)


async def test_body_of_just_the_most_bytes_passes() -> None:
    async with (
        relaying(takes_bodies, body_bytes=5) as served,
        client(served.port) as (
            reader,
            writer,
        ),
    ):
        writer.write(POST + b"Content-Length: 5\r\n\r\nhello")
        assert await reader.until(b"ok") == OK
        writer.write(CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n")

        assert await reader.until(b"ok") == OK


@pytest.mark.behaviour(31)
async def test_body_announced_too_large_is_refused_before_any_upstream_hears_of_it() -> None:
    async with (
        relaying(takes_bodies, body_bytes=5) as served,
        client(served.port) as (
            reader,
            writer,
        ),
    ):
        writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 6\r\n\r\n")

        assert (await reader.rest()).startswith(b"HTTP/1.1 413 ")
        assert served.raw.connections == 0
        assert (await served.ended()).status == 413


async def test_body_announced_too_large_is_refused_before_anything_is_waited_for() -> None:
    async def work() -> Decision:
        raise AssertionError("nothing is to be started for it")

    async with (
        relaying(takes_bodies, body_bytes=5) as served,
        client(served.port) as (
            reader,
            writer,
        ),
    ):
        served.door.chosen = lambda head: Wait(work)
        writer.write(POST + b"Content-Length: 6\r\n\r\n")

        assert (await reader.rest()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.behaviour(26)
async def test_chunks_that_become_too_large_are_refused_and_never_completed() -> None:
    aborted = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.until(b"0\r\n\r\n")
        finally:
            aborted.set()

    async with relaying(script, body_bytes=5) as served, client(served.port) as (reader, writer):
        writer.write(CHUNKED + b"5\r\nhello\r\n")
        await until(lambda: bool(served.raw.connections))
        writer.write(b"1\r\n")

        assert (await reader.rest()).startswith(b"HTTP/1.1 413 ")
        await within(aborted.wait())


@pytest.mark.behaviour(61)
async def test_connection_too_many_from_an_address_is_told_so_at_once() -> None:
    async with AsyncExitStack() as stack:
        served = await stack.enter_async_context(relaying(plays(OK), addresses=Quota(2)))
        for _ in range(2):
            reader, writer = await stack.enter_async_context(client(served.port))
            writer.write(GET)
            await reader.until(b"ok")
        refused, _ = await stack.enter_async_context(client(served.port))

        assert (await refused.rest()).startswith(b"HTTP/1.1 503 ")
        assert served.door.outcomes[-1].status == 503


async def test_connection_that_goes_makes_room_for_another() -> None:
    async with relaying(plays(OK), addresses=Quota(1)) as served:
        for _ in range(3):
            async with client(served.port) as (reader, writer):
                writer.write(GET)
                assert await reader.until(b"ok") == OK
            await until(lambda: not served.state.connections)


async def test_refused_connection_takes_no_room() -> None:
    async with relaying(plays(OK), addresses=Quota(1)) as served, client(served.port):
        await until(lambda: bool(served.state.connections))
        for _ in range(3):
            async with client(served.port) as (refused, _):
                await refused.rest()

        assert served.wiring.addresses._taken == {"127.0.0.1": 1}


@pytest.mark.behaviour(61)
async def test_request_under_a_key_that_is_full_is_refused_and_the_connection_stays() -> None:
    async with relaying(plays(OK), live=Live(1)) as served, AsyncExitStack() as stack:
        ends = [await stack.enter_async_context(client(served.port)) for _ in range(2)]
        for reader, writer in ends:
            writer.write(GET)
            first = await reader.head()
        assert first.startswith(b"HTTP/1.1 503 ")

        ends[0][1].transport.abort()
        await until(lambda: len(served.state.connections) == 1)
        ends[1][1].write(GET)

        assert (await reader.until(b"ok")).endswith(OK)


async def test_connection_under_a_full_key_goes_on() -> None:
    async with relaying(plays(OK), live=Live(1)) as served, client(served.port) as (reader, writer):
        for _ in range(3):
            writer.write(GET)

            assert await reader.until(b"ok") == OK


@pytest.mark.behaviour(32)
@pytest.mark.parametrize("early_bytes", [1024, 1_000_000])
async def test_client_that_sends_ahead_waits_and_loses_nothing(early_bytes: int) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.head()
            asked.set()
            await go_on.wait()
            writer.write(OK)

    async with (
        relaying(script, early_bytes=early_bytes) as served,
        client(served.port) as (
            reader,
            writer,
        ),
    ):
        writer.write(GET)
        await within(asked.wait())
        writer.write(GET * 60_000)
        await until(lambda: served.connection._holding)

        kept = len(served.connection._early)
        assert early_bytes < kept < early_bytes + 300_000
        go_on.set()
        for _ in range(200):
            await reader.until(b"ok")


@pytest.mark.behaviour(32)
async def test_small_requests_sent_ahead_let_no_more_in_than_the_bound() -> None:
    """Each that is answered must not open the door for another read."""
    most = 0
    many = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 4000

    def refuse(head: RequestHead) -> Decision:
        nonlocal most
        most = max(most, len(served.connection._early))
        return Answer(404, b"")

    async with (
        relaying(plays(OK), early_bytes=4096) as served,
        client(served.port) as (reader, writer),
    ):
        served.door.chosen = refuse
        async with asyncio.TaskGroup() as both:
            both.create_task(reader.exactly(200_000))
            for _ in range(20):
                writer.write(many)
                await writer.drain()

    assert most < 4096 + 300_000
