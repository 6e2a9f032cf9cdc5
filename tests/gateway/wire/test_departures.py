"""Clients that leave: what becomes of their request, and who is told."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.wire.departures import has_left
from gateway.wire.door import Answer, Decision, Wait
from tests.support.websocket import ASK, SWITCH
from tests.support.wire import Recorded, Script, Served, client, relaying, reset, until, within

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n"


@pytest.mark.behaviour(62)
@pytest.mark.parametrize("leave", [asyncio.StreamWriter.close, reset])
async def test_client_that_leaves_before_any_answer_is_noted_as_499(
    leave: Callable[[asyncio.StreamWriter], None],
) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        asked.set()
        try:
            await reader.rest()
        finally:
            left.set()

    async with relaying(script) as served, client(served.port) as (_, writer):
        writer.write(GET)
        await within(asked.wait())
        leave(writer)
        async with asyncio.timeout(1):
            await left.wait()

        outcome = await served.ended()
        assert (outcome.status, outcome.trouble) == (499, "client gone")
        assert outcome.first_byte is None


@pytest.mark.behaviour(62)
async def test_client_that_leaves_while_its_request_is_held_is_noted_as_499() -> None:
    held, given_up = asyncio.Event(), asyncio.Event()

    async def work() -> Decision:
        held.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return Answer(200, b"")

    async with relaying(_nobody) as served, client(served.port) as (_, writer):
        served.door.chosen = lambda head: Wait(work)
        writer.write(GET)
        await within(held.wait())
        writer.close()

        assert (await served.ended()).status == 499
        await within(given_up.wait())


async def test_client_that_leaves_amid_an_answer_keeps_its_status() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 206 Part\r\nContent-Length: 9\r\n\r\nx")
        await reader.rest()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"x")
        writer.close()

        outcome = await served.ended()
        assert (outcome.status, outcome.trouble) == (206, "client gone")


async def _nobody(reader: Recorded, writer: asyncio.StreamWriter) -> None:
    raise AssertionError("no upstream is asked")


def sleeps(asked: asyncio.Event) -> Script:
    """A script that reads a head, switches if it is asked to, and then nothing more."""

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        if b"Upgrade" in await reader.head():
            writer.write(SWITCH)
        asked.set()
        await asyncio.Event().wait()

    return script


async def unread(served: Served, writer: asyncio.StreamWriter) -> None:
    """Have the gateway read no more of this client, as back-pressure does, and send on."""
    served.connection.hold_reading(True)
    writer.write(b"more")
    await until(lambda: not writer.transport.get_write_buffer_size())


@pytest.mark.parametrize("leave", [asyncio.StreamWriter.close, reset])
async def test_client_that_leaves_amid_an_upload_is_noticed_though_nobody_reads_it(
    leave: Callable[[asyncio.StreamWriter], None],
) -> None:
    asked = asyncio.Event()
    async with relaying(sleeps(asked)) as served, client(served.port) as (_, writer):
        writer.write(UPLOAD)
        await within(asked.wait())
        await unread(served, writer)
        leave(writer)

        assert (await served.ended()).trouble == "client gone"
        await until(lambda: not served.pool._open)


async def test_half_closed_tunnel_is_left_alone_though_nobody_reads_it() -> None:
    async with relaying(sleeps(asyncio.Event())) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        await unread(served, writer)
        writer.write_eof()
        connection = served.connection.transport.get_extra_info("socket")
        await until(lambda: has_left(connection, half_is_enough=True))
        served.wiring.deadlines.sweep(0.0)

        assert not served.connection.transport.is_closing()


async def test_reset_tunnel_is_noticed_though_nobody_reads_it() -> None:
    async with relaying(sleeps(asyncio.Event())) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        await unread(served, writer)
        reset(writer)

        await until(lambda: not served.pool._open)


async def test_client_that_is_read_again_is_no_longer_looked_at() -> None:
    asked = asyncio.Event()
    async with relaying(sleeps(asked)) as served, client(served.port) as (_, writer):
        writer.write(UPLOAD)
        await within(asked.wait())
        await unread(served, writer)
        assert served.wiring.deadlines._unread
        served.connection.hold_reading(False)

        assert not served.wiring.deadlines._unread


async def test_client_that_is_gone_is_no_longer_looked_at() -> None:
    asked = asyncio.Event()
    async with relaying(sleeps(asked)) as served, client(served.port) as (_, writer):
        writer.write(UPLOAD)
        await within(asked.wait())
        await unread(served, writer)
        reset(writer)

        await until(lambda: not served.state.connections)
        assert not served.wiring.deadlines._unread
