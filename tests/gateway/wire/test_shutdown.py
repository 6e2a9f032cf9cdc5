"""The data plane at its end: what still comes, what may finish, and what ends at once."""

import asyncio

import pytest

from tests.support.websocket import ASK, SWITCH
from tests.support.wire import Recorded, Script, client, relaying, until, within

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNK = b"7\r\ndata: 1\r\n"


def answers_late(answer: bytes, asked: asyncio.Event, go_on: asyncio.Event) -> Script:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        asked.set()
        await go_on.wait()
        writer.write(answer)
        await reader.rest()

    return script


@pytest.mark.parametrize("begun", [b"\r\ndata: 1", b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK])
async def test_event_stream_that_begins_during_the_shutdown_ends_at_once(begun: bytes) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    async with (
        relaying(answers_late(EVENTS + begun, asked, go_on)) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(GET)
        await within(asked.wait())
        served.shut_down()
        go_on.set()

        framing = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        assert await reader.rest() == EVENTS + framing + CHUNK
        await until(lambda: not served.pool._open)


async def test_whole_event_stream_that_begins_during_the_shutdown_is_answered() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    whole = EVENTS + b"Content-Length: 7\r\n\r\ndata: 1"
    async with (
        relaying(answers_late(whole, asked, go_on)) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(GET)
        await within(asked.wait())
        served.shut_down()
        go_on.set()

        assert (await reader.rest()).endswith(b"\r\nConnection: close\r\n\r\ndata: 1")


async def test_tunnel_that_begins_during_the_shutdown_ends_at_once() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()
    async with (
        relaying(answers_late(SWITCH + b"\x81\x02hi", asked, go_on)) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(ASK)
        await within(asked.wait())
        served.shut_down()
        go_on.set()

        assert await reader.head() == SWITCH
        assert await reader.rest() == b"\x81\x02hi\x88\x16\x03\xf4the gateway restarts"
        await until(lambda: not served.pool._open)
