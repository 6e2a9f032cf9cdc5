"""Behaviours 51 to 56: responses that break off, break their framing, or are none at all."""

import asyncio

import pytest

from tests.support.exchange import GET, LAST, OK, answered
from tests.support.front import Gateway
from tests.support.wire import Recorded, client, plays, relaying, until

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.behaviour(51, 52, 53)
async def test_whole_gateway_adds_nothing_to_an_answer_that_broke_off(gw: Gateway) -> None:
    for framing, passed in (
        (b"Content-Length: 99\r\n\r\nhalf", b"half"),
        (b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b"4\r\nhalf\r\n"),
        (b"Transfer-Encoding: chunked\r\n\r\n9\r\nhalf", b"9\r\nhalf"),
    ):
        gw.container.answer = b"HTTP/1.1 200 OK\r\n" + framing
        async with client(gw.port) as (reader, writer):
            writer.write(GET[:-2] + b"Cookie: " + gw.cookie.encode() + b"\r\n\r\n")
            await reader.head()
            assert await reader.exactly(len(passed)) == passed
            gw.container.hang_up()

            assert await reader.rest() == b""


@pytest.mark.behaviour(52, 53)
@pytest.mark.parametrize("end", [b"", b"0", b"0\r", b"0\r\n", b"0\r\n\r", b"0\r\nX: 1\r\n"])
async def test_end_of_chunks_is_never_made_up(end: bytes) -> None:
    got = await answered(CHUNKED + b"4\r\nhalf\r\n" + end)

    assert got.partition(b"\r\n\r\n")[2] == b"4\r\nhalf\r\n"


@pytest.mark.behaviour(53)
@pytest.mark.parametrize("bad", [b"xx\r\n", b"4\r\nlonger\r\n", b"-1\r\n", b"0x4\r\nbody\r\n"])
async def test_chunks_that_break_their_grammar_end_the_answer_and_add_nothing(bad: bytes) -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(CHUNKED + b"4\r\nhalf\r\n")
        await go_on.wait()
        writer.write(bad)
        await reader.rest()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"half\r\n")
        go_on.set()
        rest = await reader.rest()

        assert b"HTTP/" not in rest
        assert not rest.endswith(b"0\r\n\r\n")
        await until(lambda: not served.pool._open)


@pytest.mark.behaviour(54)
@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n",
        b"Content-Length: 2, 2\r\n",
        b"Content-Length: +2\r\n",
        b"Content-Length: 0x2\r\n",
        b"Content-Length: two\r\n",
        b"Content-Length:\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Transfer-Encoding: gzip, chunked\r\n",
        b"Transfer-Encoding: identity\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
    ],
)
async def test_response_with_faulty_framing_is_a_502(lines: bytes) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + lines + b"\r\nok"
    async with relaying(plays(answer)) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        got = await reader.until(b"invalid")

        assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert b"200" not in got
        await until(lambda: not served.pool._open)


@pytest.mark.behaviour(54)
async def test_http_1_0_response_with_a_coding_is_a_502() -> None:
    got = await answered(CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n")

    assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")


@pytest.mark.behaviour(55)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 204 None\r\n\r\n",
        b"HTTP/1.1 304 Same\r\nContent-Length: 2\r\n\r\n",
    ],
)
@pytest.mark.parametrize("surplus", [b"x", b"\r\n", OK.replace(b"ok", b"EV")])
async def test_surplus_of_a_response_is_dropped_with_its_connection(
    answer: bytes, surplus: bytes
) -> None:
    async with relaying(plays(answer + surplus)) as served, client(served.port) as (reader, writer):
        for number in range(3):
            writer.write(GET if number < 2 else LAST)
        got = await reader.rest()

        assert got.count(b"HTTP/1.1 ") == 3
        assert b"EV" not in got
        assert served.raw.connections == 3


@pytest.mark.behaviour(56)
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\r\n",
        b"hello",
        b"<html>old web</html>",
        b"<html>\r\n\r\n</html>",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 OK\r\nX: 1\r\n",
    ],
)
async def test_what_is_no_response_and_ends_is_a_clean_502(answer: bytes) -> None:
    got = await answered(answer)

    assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert got.count(b"HTTP/1.1 ") == 1


@pytest.mark.behaviour(56)
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/0.9 200 OK\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"ICY 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x01\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: \x7f\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n",
        b"\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 12_000,
        b"HTTP/1.1 " + b"9" * 70_000,
    ],
)
async def test_what_is_no_response_and_stays_is_a_clean_502(answer: bytes) -> None:
    async with relaying(plays(answer)) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        got = await reader.until(b"invalid")

        assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
        assert got.count(b"HTTP/1.1 ") == 1
        await until(lambda: not served.pool._open)


@pytest.mark.behaviour(56)
@pytest.mark.parametrize(
    "answer",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"hello",
        b"<html>old web</html>\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
        b"HTTP/1.1 103 Early Hints\r\n\r\nhello",
    ],
)
async def test_what_can_become_no_response_is_not_waited_for(answer: bytes) -> None:
    async with relaying(plays(answer)) as served, client(served.port) as (reader, writer):
        writer.write(GET)

        assert b"HTTP/1.1 502 Bad Gateway\r\n" in await reader.until(b"invalid")


@pytest.mark.behaviour(56)
async def test_response_that_comes_byte_by_byte_is_waited_for() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        for at in range(len(OK)):
            writer.write(OK[at : at + 1])
            await writer.drain()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)

        assert await reader.until(b"ok") == OK
