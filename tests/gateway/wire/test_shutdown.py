"""The data plane at its end: what still comes, what may finish, and what ends at once."""

import asyncio

import pytest

from gateway.wire import client_socket
from gateway.wire.door import Answer, Decision, Wait
from tests.support.websocket import ASK, SWITCH
from tests.support.wire import Recorded, Script, client, plays, relaying, until, within

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
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


@pytest.mark.behaviour(68)
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


@pytest.mark.behaviour(68)
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


@pytest.mark.behaviour(68)
async def test_request_that_is_on_its_way_is_answered_and_is_the_last() -> None:
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"ok")
        await served.ended()
        served.shut_down()
        writer.write(GET)

        assert await reader.rest() == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


async def test_request_whose_head_has_begun_is_answered() -> None:
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        writer.write(GET[:9])
        await until(lambda: bool(served.state.connections and served.connection._heads.held))
        served.shut_down()
        writer.write(GET[9:])

        assert (await reader.rest()).endswith(b"\r\nConnection: close\r\n\r\nok")


async def test_connection_on_which_nothing_comes_is_closed_after_a_moment() -> None:
    async with (
        relaying(plays(OK), last_request_s=0.01) as served,
        client(served.port) as (reader, _),
    ):
        await until(lambda: bool(served.state.connections))
        served.shut_down()

        assert await reader.rest() == b""


async def test_head_that_does_not_come_whole_in_time_is_told_so() -> None:
    async with (
        relaying(plays(OK), last_request_s=0.01) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(GET[:9])
        await until(lambda: bool(served.state.connections and served.connection._heads.held))
        served.shut_down()

        assert (await reader.rest()).startswith(b"HTTP/1.1 408 ")


async def test_answer_that_is_still_being_read_arrives_whole() -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n" + bytes(3_000_000)
    async with relaying(plays(large)) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await until(lambda: bool(served.door.outcomes))
        served.shut_down()

        assert len(await reader.rest()) == len(large)


async def test_request_without_an_answer_is_told_at_the_deadline() -> None:
    asked, never = asyncio.Event(), asyncio.Event()
    async with (
        relaying(answers_late(OK, asked, never), drain_s=0.01) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(GET)
        await within(asked.wait())
        served.shut_down()

        assert (await reader.rest()).startswith(b"HTTP/1.1 504 ")
        assert (await served.ended()).trouble == "shutdown"
        await until(lambda: not served.pool._open)


async def test_request_that_is_held_is_told_at_the_deadline() -> None:
    given_up = asyncio.Event()

    async def work() -> Decision:
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return Answer(200, b"")

    async with (
        relaying(plays(OK), drain_s=0.01) as served,
        client(served.port) as (reader, writer),
    ):
        served.door.chosen = lambda head: Wait(work)
        writer.write(GET)
        await until(lambda: bool(served.door.heads))
        served.shut_down()

        assert (await reader.rest()).startswith(b"HTTP/1.1 504 ")
        await within(given_up.wait())


async def test_answer_that_does_not_end_is_broken_off_at_the_deadline() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
        await reader.rest()

    async with relaying(script, drain_s=0.01) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"x")
        served.shut_down()

        with pytest.raises(ConnectionResetError):
            await reader.rest()
        await until(lambda: not served.pool._open)


async def test_answer_in_time_is_not_broken_off() -> None:
    async with relaying(plays(OK), drain_s=0.01) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"ok")
        await served.ended()
        served.shut_down()

        assert await reader.rest() == b""
        assert len(served.door.outcomes) == 1


async def test_client_that_does_not_read_its_last_answer_holds_nothing_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_socket, "_LINGER_S", 0.01)
    async with relaying(plays(OK), drain_s=0.01) as served, client(served.port) as (reader, writer):
        served.door.chosen = lambda head: Answer(200, bytes(30_000_000))
        writer.write(GET)
        await reader.head()
        served.shut_down()

        await until(lambda: not served.state.connections)


async def test_connection_that_comes_late_has_one_request() -> None:
    async with relaying(plays(OK)) as served, client(served.port):
        await until(lambda: bool(served.state.connections))
        served.shut_down()
        async with client(served.port) as (reader, writer):
            writer.write(GET)

            assert (await reader.rest()).endswith(b"\r\nConnection: close\r\n\r\nok")


@pytest.mark.behaviour(68)
async def test_request_behind_an_answer_that_spans_the_beginning_is_answered_too() -> None:
    """Its head went out before, and promised that the connection stays."""
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nbef")
        await go_on.wait()
        writer.write(b"ore")
        await reader.head()
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"bef")
        served.shut_down()
        go_on.set()
        await reader.until(b"ore")
        writer.write(GET)

        assert (await reader.rest()).endswith(b"\r\nConnection: close\r\n\r\nok")
