"""One exchange through the data plane, byte for byte, on real sockets at both ends."""

import asyncio
import gc

import pytest

from gateway.wire.door import Relay
from gateway.wire.framing import Chunked
from gateway.wire.relay import Exchange
from gateway.wire.request_head import RequestHead
from tests.support.wire import Recorded, ask, client, plays, plays_once, relaying, within

GET = b"GET /a%2Fb?x=1;y HTTP/1.1\r\nHost: gw.example\r\nX-Case: Kept\r\nConnection: close\r\n\r\n"
KEEP = b"GET / HTTP/1.1\r\nHost: gw.example\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: gw.example\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: gw.example\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok"


async def through(answer: bytes, request: bytes = GET) -> bytes:
    """Return what a client gets whose upstream plays this answer and closes."""
    async with relaying(plays_once(answer)) as served:
        return await ask(served.port, request)


# The request


@pytest.mark.behaviour(1, 2)
async def test_target_and_headers_arrive_as_they_were_sent() -> None:
    async with relaying(plays(OK)) as served:
        await ask(served.port, GET)

        assert bytes(served.raw.received[0]) == (
            b"GET /a%2Fb?x=1;y HTTP/1.1\r\nHost: gw.example\r\nX-Case: Kept\r\n\r\n"
        )


async def test_door_edits_the_head() -> None:
    def edited(head: RequestHead) -> Relay:
        return served.door.relay(
            head, target=b"/other", without=frozenset((b"x-case",)), added=b"X-Added: 1\r\n"
        )

    async with relaying(plays(OK)) as served:
        served.door.chosen = edited
        await ask(served.port, GET)

        assert bytes(served.raw.received[0]) == (
            b"GET /other HTTP/1.1\r\nHost: gw.example\r\nX-Added: 1\r\n\r\n"
        )


@pytest.mark.behaviour(34)
async def test_body_with_a_length_arrives_piece_by_piece() -> None:
    first_came = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"\r\n\r\nfirst")
        first_came.set()
        await reader.exactly(6)
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nfirst")
        await within(first_came.wait())
        writer.write(b"second")
        await reader.until(b"ok")

        assert served.raw.received[0].endswith(b"Content-Length: 11\r\n\r\nfirstsecond")


@pytest.mark.behaviour(29, 34)
async def test_chunked_body_arrives_piece_by_piece() -> None:
    first_came = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"5\r\nfirst\r\n")
        first_came.set()
        await reader.until(b"0\r\n\r\n")
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(CHUNKED + b"5;ext=1\r\nfirst\r\n")
        await within(first_came.wait())
        writer.write(b"6\r\nsecond\r\n0\r\nX-Forwarded-For: trailer\r\n\r\n")
        await reader.until(b"ok")

        assert served.raw.received[0] == CHUNKED + b"5\r\nfirst\r\n6\r\nsecond\r\n0\r\n\r\n"


@pytest.mark.behaviour(33)
async def test_body_of_an_ignored_upgrade_is_delivered() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"\r\n\r\nbody")
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\n" + upgrade + b"Content-Length: 4\r\n\r\nbody")
        await reader.until(b"ok")

        assert served.raw.received[0] == (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
        )


@pytest.mark.behaviour(40)
async def test_expectation_is_the_upstreams_to_meet() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        head = await reader.head()
        assert b"Expect: 100-continue\r\n" in head
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.exactly(4)
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"
        )
        assert await reader.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")

        assert await reader.until(b"ok") == OK


@pytest.mark.behaviour(40)
async def test_refused_expectation_is_answered_without_a_continue() -> None:
    refusal = b"HTTP/1.1 413 Too much\r\nContent-Length: 2\r\n\r\nno"
    async with relaying(plays(refusal)) as served:
        answer = await ask(
            served.port,
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
        )

        assert answer == refusal


@pytest.mark.behaviour(38)
async def test_early_answer_is_relayed_while_the_client_still_uploads() -> None:
    refusal = b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno"
    async with relaying(plays(refusal)) as served, client(served.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nbegin")
        assert await reader.until(b"no") == refusal
        writer.write(b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")

        assert await reader.rest() == b""
        assert len(served.door.heads) == 1


@pytest.mark.behaviour(39)
async def test_echo_of_a_body_still_being_sent_is_full_duplex() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (piece := await reader.until(b"\r\n")) != b"0\r\n":
            writer.write(piece + await reader.until(b"\r\n"))
        writer.write(b"0\r\n" + await reader.until(b"\r\n"))

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(CHUNKED)
        await reader.head()
        for piece in (b"1\r\na\r\n", b"2\r\nbc\r\n", b"0\r\n\r\n"):
            writer.write(piece)
            assert await reader.exactly(len(piece)) == piece

        assert (await served.ended()).trouble == ""


# The response


@pytest.mark.behaviour(41, 58)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-Up: 1\r\n\r\nok",
        b"HTTP/1.1 599 Odd\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 999 \r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 Empty\r\nX: 1\r\n\r\n",
        b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\nETag: x\r\n\r\n",
        b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b!",
        b"HTTP/1.1 200 OK\r\nDate: then\r\nServer: it\r\ndate: now\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_answer_arrives_as_it_was_sent(answer: bytes) -> None:
    async with relaying(plays(answer)) as served:
        head, _, body = (await ask(served.port, GET)).partition(b"Connection: close\r\n\r\n")

        assert head + b"\r\n" + body == answer


async def test_mark_is_added_and_our_own_cookie_cannot_be_set() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: ours=2\r\nContent-Length: 0\r\n\r\n"
    )
    async with relaying(plays(answer)) as served:
        served.door.chosen = lambda head: served.door.relay(head, mark=b"X-Mark: 1\r\n")

        assert await ask(served.port, GET) == (
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 0\r\n"
            b"Connection: close\r\nX-Mark: 1\r\n\r\n"
        )


async def test_chunked_answer_keeps_its_chunks_and_loses_its_trailers() -> None:
    answer = await through(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n"
        b"2;e\r\nok\r\n0\r\nX: 1\r\n\r\n"
    )

    assert answer == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"2\r\nok\r\n0\r\n\r\n"
    )


@pytest.mark.behaviour(45, 46)
async def test_head_arrives_before_the_first_byte_and_each_byte_before_the_next() -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        for event in (b"a", b"b"):
            await go_on.wait()
            go_on.clear()
            writer.write(b"1\r\n" + event + b"\r\n")
        await reader.rest()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(KEEP)
        await reader.head()
        for event in (b"1\r\na\r\n", b"1\r\nb\r\n"):
            go_on.set()
            assert await reader.exactly(6) == event


@pytest.mark.behaviour(50)
async def test_body_that_ends_with_its_connection_becomes_chunked() -> None:
    answer = await through(b"HTTP/1.1 200 OK\r\n\r\nall of it")

    assert answer == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"9\r\nall of it\r\n0\r\n\r\n"
    )


@pytest.mark.behaviour(50)
async def test_empty_body_that_ends_with_its_connection_ends() -> None:
    assert (await through(b"HTTP/1.0 200 OK\r\n\r\n")).endswith(b"\r\n\r\n0\r\n\r\n")


@pytest.mark.behaviour(43)
async def test_answer_to_head_has_a_length_and_no_body() -> None:
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(HEAD)
            assert await reader.head() == OK[:-2]
            await served.ended()

        assert served.raw.connections == 2, "the body that came all the same ends a connection"


@pytest.mark.behaviour(44)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 204 Empty\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 204 Empty\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_204_announces_no_body(answer: bytes) -> None:
    assert await through(answer) == b"HTTP/1.1 204 Empty\r\nConnection: close\r\n\r\n"


@pytest.mark.behaviour(44)
async def test_304_with_a_length_keeps_both_connections() -> None:
    same = b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n"
    async with relaying(plays(same)) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(KEEP)
            assert await reader.head() == same

        assert served.raw.connections == 1


@pytest.mark.behaviour(42)
async def test_interim_answers_go_before_the_final_one() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n"
    answer = await through(hints + b"Set-Cookie: ours=1\r\n\r\n" + hints + b"\r\n" + OK)

    assert answer == hints + b"\r\n" + hints + b"\r\n" + OK.replace(
        b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"
    )


# HTTP/1.0 clients


@pytest.mark.behaviour(42)
async def test_interim_answers_without_end_are_refused() -> None:
    answer = await through(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000 + OK)

    assert b"HTTP/1.1 502 " in answer
    assert answer.count(b" 103 ") == 16


@pytest.mark.behaviour(10)
async def test_http_1_0_client_gets_no_interim_answer() -> None:
    answer = await through(b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK, OLD)

    assert answer.startswith(b"HTTP/1.1 200 Fine")


@pytest.mark.behaviour(10)
@pytest.mark.parametrize(
    "framed",
    [b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\n\r\n", b"\r\nok!"],
)
async def test_http_1_0_client_gets_a_body_ended_by_close(framed: bytes) -> None:
    keep = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

    assert await through(b"HTTP/1.1 200 OK\r\n" + framed, keep) == (
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok!"
    )


@pytest.mark.behaviour(10)
async def test_http_1_0_client_is_told_that_its_connection_stays() -> None:
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

            assert b"\r\nConnection: keep-alive\r\n" in await reader.until(b"ok")


# Whoever wants to read along


async def test_witness_reads_a_small_answer_whole() -> None:
    seen: list[tuple[int, bytes]] = []
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
    async with relaying(plays(answer)) as served:
        served.door.chosen = lambda head: served.door.relay(
            head, witness=lambda status, body: seen.append((status, body))
        )
        await ask(served.port, GET)
        await ask(served.port, OLD)

    assert seen == [(200, b"ab"), (200, b"ab")]


# Connections to the upstream


@pytest.mark.behaviour(65)
@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_upstream_connection_is_used_again(answer: bytes) -> None:
    async with relaying(plays(answer)) as served:
        for _ in range(3):
            await ask(served.port, GET)

        assert served.raw.connections == 1


@pytest.mark.behaviour(55)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK + OK.replace(b"ok", b"EV"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nEVIL",
        b"HTTP/1.1 204 Empty\r\n\r\nEVIL",
    ],
)
async def test_upstream_connection_is_not_used_again(answer: bytes) -> None:
    async with relaying(plays(answer)) as served:
        for _ in range(2):
            assert b"EV" not in await ask(served.port, GET)

        assert served.raw.connections == 2


async def test_upstream_connection_with_an_unread_request_is_not_used_again() -> None:
    async with relaying(plays(OK)) as served:
        await ask(served.port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
        await ask(served.port, GET)

        assert served.raw.connections == 2


@pytest.mark.parametrize(
    "answer", [OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"]
)
async def test_finished_exchange_leaves_nothing_to_the_garbage_collector(answer: bytes) -> None:
    async with relaying(plays(answer)) as served, client(served.port) as (reader, writer):
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await reader.until(answer[-4:])
                await served.ended()
            left = [x for x in gc.get_objects() if isinstance(x, Exchange | Chunked)]
        finally:
            gc.enable()

    assert left == []
