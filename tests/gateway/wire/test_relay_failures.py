"""What each side sees when the other one dies, breaks its framing, or does not keep up."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.wire import upstream as upstream_module
from gateway.wire.door import Answer, Client, Decision, Failure, Wait
from gateway.wire.request_head import RequestHead
from gateway.wire.tasks import Tasks
from gateway.wire.upstream import Pool
from tests.support.wire import (
    DEADLINE_S,
    Recorded,
    ScriptedDoor,
    ask,
    client,
    plays,
    plays_once,
    relaying,
    reset,
    serving,
    undated,
    until,
    upstream,
    within,
    write_until_blocked,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BLOCK = b"x" * 65536


class Departure:
    """An upstream's script that notes when the gateway has ended the connection."""

    def __init__(self, answer: bytes = b"") -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self._answer = answer

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(self._answer)
        self.asked.set()
        try:
            await reader.rest()
        finally:
            self.left.set()


# The upstream dies


@pytest.mark.behaviour(51, 52, 53)
@pytest.mark.parametrize(
    ("answer", "passed"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", b"half"),
        (STREAM + b"4\r\nhalf\r\n", b"4\r\nhalf\r\n"),
        (STREAM + b"9\r\nhalf", b"9\r\nhalf"),
        (STREAM + b"4\r\nhalf\r\n0\r\n", b"4\r\nhalf\r\n"),
        (STREAM + b"4\r\nhalf\r\n0\r\nX: 1\r\n", b"4\r\nhalf\r\n"),
    ],
)
async def test_death_amid_the_body_is_visible_as_truncation(answer: bytes, passed: bytes) -> None:
    async with relaying(plays_once(answer)) as served:
        got = await ask(served.port, GET)

        assert got.partition(b"\r\n\r\n")[2] == passed
        assert (await served.ended()).trouble == "upstream gone"


@pytest.mark.behaviour(52)
async def test_reset_amid_a_body_without_a_length_is_no_end() -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await go_on.wait()
        reset(writer)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"half\r\n")
        go_on.set()

        assert await reader.rest() == b""


@pytest.mark.behaviour(10, 52)
async def test_http_1_0_client_sees_truncation_as_a_reset() -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(STREAM + b"4\r\nhalf\r\n")
        await go_on.wait()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(OLD)
        await reader.until(b"half")
        go_on.set()

        with pytest.raises(ConnectionResetError):
            await reader.rest()


@pytest.mark.behaviour(54, 56, 57)
@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-", "closed"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", "closed"),
        (b"<html>no head</html>\r\n\r\n", "invalid"),
        (b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n", "invalid"),
        (b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n", "invalid"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "invalid"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "invalid"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "invalid"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * 70_000, "invalid"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", "invalid"),
    ],
)
async def test_no_valid_answer_is_a_failure_with_its_kind(answer: bytes, kind: str) -> None:
    async with relaying(plays_once(answer)) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        got = await reader.until(kind.encode())

        assert b"HTTP/1.1 502 Bad Gateway\r\n" in got
        assert [failure.kind for failure in served.door.failures] == [kind]


async def test_client_stays_connected_after_a_failure() -> None:
    async with relaying(plays_once(b"")) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(GET)
            await reader.until(b"closed")


@pytest.mark.behaviour(52)
async def test_broken_chunk_of_the_upstream_is_visible_as_truncation() -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(STREAM + b"4\r\ngood\r\n")
        await go_on.wait()
        writer.write(b"xx\r\n")

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"4\r\ngood\r\n")
        go_on.set()

        assert await reader.rest() == b""
        assert (await served.ended()).trouble.startswith("A chunk's size")


# The client leaves


@pytest.mark.behaviour(62)
async def test_client_leaving_before_the_head_ends_the_upstream() -> None:
    script = Departure()
    async with relaying(script) as served:
        async with client(served.port) as (_, writer):
            writer.write(GET)
            await within(script.asked.wait())
        async with asyncio.timeout(1):
            await script.left.wait()

        assert (await served.ended()).trouble == "client gone"


@pytest.mark.behaviour(63)
async def test_client_leaving_an_idle_stream_ends_the_upstream() -> None:
    script = Departure(STREAM + b"1\r\na\r\n")
    async with relaying(script) as served:
        async with client(served.port) as (reader, writer):
            writer.write(GET)
            await reader.until(b"a\r\n")
        async with asyncio.timeout(1):
            await script.left.wait()


@pytest.mark.behaviour(63)
async def test_client_that_ends_its_side_amid_a_stream_has_left() -> None:
    script = Departure(STREAM + b"1\r\na\r\n")
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"a\r\n")
        writer.write_eof()

        async with asyncio.timeout(1):
            await script.left.wait()


@pytest.mark.behaviour(63)
async def test_client_that_leaves_without_reading_on_has_left_at_once() -> None:
    left = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(BLOCK)
                await writer.drain()
        finally:
            left.set()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.head()
        await until(lambda: served.connection.clogged)
        writer.write_eof()

        async with asyncio.timeout(1):
            await left.wait()


@pytest.mark.behaviour(36)
@pytest.mark.parametrize(
    "upload",
    [
        CHUNKED + b"4\r\nhalf\r\n",
        CHUNKED + b"4\r\nhalf\r\n0\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf",
    ],
)
@pytest.mark.parametrize("crashed", [True, False])
async def test_client_leaving_amid_an_upload_never_completes_it(
    upload: bytes, crashed: bool
) -> None:
    script = Departure()
    async with relaying(script) as served:
        async with client(served.port) as (_, writer):
            writer.write(upload)
            await within(script.asked.wait())
            if crashed:
                reset(writer)
        async with asyncio.timeout(1):
            await script.left.wait()

        assert b"0\r\n\r\n" not in served.raw.received[0]


@pytest.mark.behaviour(26)
@pytest.mark.parametrize("bad", [b"xx\r\n", b"4\r\nlonger", b"0\r\nno trailer\r\n"])
async def test_broken_chunk_of_the_client_never_completes_its_upload(bad: bytes) -> None:
    script = Departure()
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(CHUNKED + b"4\r\ngood\r\n")
        await within(script.asked.wait())
        writer.write(bad)
        got = await reader.rest()
        await within(script.left.wait())

        assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"0\r\n\r\n" not in served.raw.received[0]


@pytest.mark.behaviour(26)
async def test_broken_chunk_behind_the_head_reaches_no_upstream_whole() -> None:
    async with relaying(plays(OK)) as served:
        got = await ask(served.port, CHUNKED + b"xx\r\n")

        assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert b"200" not in got


async def test_broken_chunk_after_the_answer_began_cuts_the_answer() -> None:
    script = Departure(STREAM)
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(CHUNKED)
        await reader.head()
        writer.write(b"xx\r\n")

        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.exactly(1)


# Connections that were never there, or are no more


class StaleUpstream:
    """Its first connection closes at its second request; later ones play `again` and close."""

    def __init__(self, again: bytes) -> None:
        self.heads = 0
        self._again = again
        self._first = True

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        first, self._first = self._first, False
        await reader.head()
        self.heads += 1
        writer.write(OK if first else self._again)
        if first:
            await reader.head()
            self.heads += 1


@pytest.mark.behaviour(64)
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
async def test_stale_connection_is_replaced_once(method: bytes) -> None:
    script = StaleUpstream(OK)
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"ok")
        writer.write(GET.replace(b"GET", method))

        assert (await reader.head()).startswith(b"HTTP/1.1 200 OK\r\n")
        assert script.heads == 3


@pytest.mark.behaviour(64)
@pytest.mark.parametrize(
    "request_bytes",
    [
        POST,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
    ],
)
async def test_what_may_have_been_acted_on_is_never_sent_twice(request_bytes: bytes) -> None:
    script = StaleUpstream(OK)
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"ok")
        writer.write(request_bytes)

        assert (await reader.until(b"closed")).startswith(b"HTTP/1.1 502 ")
        assert script.heads == 2


@pytest.mark.behaviour(64)
async def test_fresh_connection_is_not_replaced() -> None:
    script = StaleUpstream(b"")
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"ok")
        writer.write(GET)

        assert (await reader.until(b"closed")).startswith(b"HTTP/1.1 502 ")
        assert script.heads == 3


async def test_half_closed_stale_connection_is_let_go() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        first = served.raw.connections == 1
        await reader.head()
        writer.write(OK)
        if first:
            await reader.head()
            writer.write_eof()
        await reader.rest()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(GET)
            await reader.until(b"ok")

        await until(lambda: len(served.pool._open) == 1)


@pytest.mark.behaviour(64)
async def test_answered_in_part_is_not_stale() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(OK)
        await reader.head()
        writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"ok")
        writer.write(GET)

        assert b"HTTP/1.1 502 " in await reader.until(b"closed")


@pytest.mark.behaviour(55)
async def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(OK)
        await go_on.wait()
        writer.write(OK.replace(b"ok", b"EV"))
        await reader.rest()

    go_on = asyncio.Event()
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"ok")
        go_on.set()
        await until(lambda: not served.pool._open)
        writer.write(GET)

        assert (await reader.until(b"ok")).startswith(b"HTTP/1.1 200 OK")


@contextmanager
def refusing() -> Iterator[int]:
    """A port where nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def deaf() -> Iterator[int]:
    """A port where connections are never accepted: its queue is full."""
    with socket.socket() as bound, socket.socket() as filler:
        bound.bind(("127.0.0.1", 0))
        bound.listen(0)
        filler.connect(bound.getsockname())
        yield bound.getsockname()[1]


@pytest.mark.behaviour(61)
async def test_refused_connection_is_a_failure_before_any_byte() -> None:
    with refusing() as nowhere:
        door = ScriptedDoor(Pool("nowhere", "127.0.0.1", nowhere))
        async with serving(door) as port, client(port) as (reader, writer):
            writer.write(GET)
            await reader.until(b"unreachable")

            assert "Connect" in door.failures[0].reason


@pytest.mark.behaviour(61, 67)
async def test_connection_that_takes_too_long_is_a_failure_before_any_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream_module, "_CONNECT_S", 0.05)
    with deaf() as nowhere:
        door = ScriptedDoor(Pool("nowhere", "127.0.0.1", nowhere))
        async with serving(door) as port, client(port) as (reader, writer):
            writer.write(GET)
            await reader.until(b"unreachable")

            assert door.failures[0].reason == "No connection: timed out."


async def test_client_leaving_while_a_connection_is_made_leaves_none_behind() -> None:
    with deaf() as nowhere:
        door, tasks = ScriptedDoor(Pool("nowhere", "127.0.0.1", nowhere)), Tasks()
        async with serving(door, tasks=tasks) as port:
            async with client(port) as (_, writer):
                writer.write(GET)
                await until(lambda: bool(tasks._running))
            await within(door.ended.wait())
            async with asyncio.timeout(1):
                await until(lambda: not tasks._running)

            assert door.failures == []
            assert not door.pool._open  # type: ignore[union-attr]


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_second_decision_gets_the_whole_request(framing: str) -> None:
    """Nobody has seen a byte of it when the first upstream refuses the connection."""
    refused, body = asyncio.Event(), b"b" * 300_000
    sent = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n" + body
    if framing == "chunked":
        sent = CHUNKED + b"493e0\r\n" + body + b"\r\n0\r\n\r\n"

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.exactly(len(sent))
        writer.write(OK)

    async with upstream(script) as (raw, pool):
        with refusing() as nowhere:
            door = ScriptedDoor(pool)

            async def wake() -> Decision:
                refused.set()
                await uploaded.wait()
                return door.relay(door.heads[0])

            def otherwise(head: RequestHead, client: Client, failure: Failure) -> Decision:
                return Wait(wake)

            uploaded = asyncio.Event()
            gone = Pool("nowhere", "127.0.0.1", nowhere)
            door.chosen = lambda head: door.relay(head, pool=gone, otherwise=otherwise)
            async with serving(door) as port, client(port) as (reader, writer):
                writer.write(sent[:100])
                await within(refused.wait())
                writer.write(sent[100:])
                uploaded.set()

                await reader.until(b"ok")
                assert raw.received[0] == sent


# Whoever is slow


@pytest.mark.behaviour(60)
async def test_slow_reader_stops_the_upstream_and_is_served_on_afterwards() -> None:
    blocked: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        blocked.set_result(await write_until_blocked(writer))
        writer.write(b"the end")

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await reader.head()
        written = await within(blocked)

        assert served.connection.transport.get_write_buffer_size() < 1_000_000
        assert written < 40_000_000
        assert (await reader.rest()).endswith(b"the end\r\n0\r\n\r\n")


@pytest.mark.behaviour(37)
async def test_slow_upstream_stops_the_client_and_is_sent_the_rest_afterwards() -> None:
    go_on, size = asyncio.Event(), 64 * 1024 * 1024

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        await go_on.wait()
        for _ in range(size // len(BLOCK)):
            await reader._reader.readexactly(len(BLOCK))
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        written = await write_until_blocked(writer)
        (to_upstream,) = served.pool._open

        assert to_upstream.transport.get_write_buffer_size() < 1_000_000
        go_on.set()
        async with asyncio.timeout(DEADLINE_S):
            while written < size:
                writer.write(BLOCK)
                written += len(BLOCK)
                await writer.drain()
        await reader.until(b"ok")


@pytest.mark.behaviour(60)
async def test_answers_that_nobody_reads_stop_further_requests() -> None:
    stalled = asyncio.Event()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n" + BLOCK

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        while True:
            waiting = asyncio.get_running_loop().call_later(0.3, stalled.set)
            await reader.head()
            waiting.cancel()
            writer.write(answer)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET * 1000)
        await within(stalled.wait())

        assert served.connection.transport.get_write_buffer_size() < 1_000_000
        assert len(served.door.heads) < 900
        for _ in range(1000):
            assert len(await reader.exactly(len(answer))) == len(answer)


async def test_refusal_can_be_answered_without_an_upstream() -> None:
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        served.door.chosen = lambda head: Answer(401, b"who?", b"X: 1\r\n")
        writer.write(GET)

        assert undated(await reader.until(b"who?")) == (
            b"HTTP/1.1 401 Unauthorized\r\nX: 1\r\nContent-Length: 4\r\n\r\nwho?"
        )


@pytest.mark.behaviour(54)
async def test_bad_first_chunk_that_comes_with_the_head_is_told() -> None:
    bad = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n"
    async with relaying(plays_once(bad)) as served:
        answer = await ask(served.port, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 502 ")
    assert [outcome.status for outcome in served.door.outcomes] == [502]
