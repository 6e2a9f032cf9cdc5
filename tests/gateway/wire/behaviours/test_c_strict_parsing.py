"""Behaviours 22 to 28: whatever two readers could read differently is refused."""

import asyncio

import pytest

from tests.support.exchange import SMUGGLED, refusal
from tests.support.wire import Recorded, ask, relaying, until

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


# One framing


@pytest.mark.behaviour(22)
@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        b"transfer-encoding: Chunked\r\ncontent-length: 0\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\nConnection: content-length\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\nConnection: transfer-encoding\r\n",
        b"Transfer-Encoding: gzip\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\nContent-Length: 4\r\n",
    ],
)
async def test_request_with_a_length_and_a_coding_is_refused(lines: bytes) -> None:
    got = await refusal(POST + lines + b"\r\n0\r\n\r\n")

    assert got.startswith(b"HTTP/1.1 400 ")


@pytest.mark.behaviour(23)
@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 4\r\nContent-Length: 4\r\n",
        b"Content-Length: 4\r\nX: 1\r\ncontent-length: 5\r\n",
        b"Content-Length: 4, 4\r\n",
        b"Content-Length: 4,\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x4\r\n",
        b"Content-Length: 1_0\r\n",
        b"Content-Length: 010\r\n",
        b"Content-Length: 00\r\n",
        b"Content-Length: 4.0\r\n",
        b"Content-Length: 4e0\r\n",
        b"Content-Length: 4 4\r\n",
        b"Content-Length: 4;x\r\n",
        b"Content-Length: four\r\n",
        b'Content-Length: "4"\r\n',
        b"Content-Length:\r\n",
        b"Content-Length: \t \r\n",
        b"Content-Length: 18446744073709551620\r\n",
        b"Content-Length: " + b"9" * 40 + b"\r\n",
        b"Content-Length: \xb24\r\n",
        b"Content-Length: 4\x0b\r\n",
        b"Content_Length: 4\r\nContent-Length: x\r\n",
    ],
)
async def test_length_that_is_not_one_plain_number_is_refused(lines: bytes) -> None:
    assert (await refusal(POST + lines + b"\r\nbody")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.behaviour(24)
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Transfer-Encoding: ,chunked\r\n", 501),
        (b"Transfer-Encoding: chunked,\r\n", 501),
        (b"Transfer-Encoding: xchunked\r\n", 501),
        (b"Transfer-Encoding: chunkedx\r\n", 501),
        (b"Transfer-Encoding: chunked;q=1\r\n", 501),
        (b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"Transfer-Encoding: chunked, gzip\r\n", 501),
        (b"Transfer-Encoding: chunked, chunked\r\n", 501),
        (b"Transfer-Encoding: identity\r\n", 501),
        (b"Transfer-Encoding: chunked, identity\r\n", 501),
        (b"Transfer-Encoding:\r\n", 501),
        (b'Transfer-Encoding: "chunked"\r\n', 501),
        (b"Transfer-Encoding: chun ked\r\n", 501),
        (b"Transfer-Encoding: chunked\xa0\r\n", 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
        (b"Transfer-Encoding: chunked\r\ntransfer-encoding: identity\r\n", 501),
        (b"Transfer-Encoding: \x0bchunked\r\n", 400),
        (b"Transfer-Encoding: chunked\x0c\r\n", 400),
        (b"Transfer-Encoding:\r\n chunked\r\n", 400),
        (b"Transfer-Encoding: chunked\r\n\t\r\n", 400),
        (b"Transfer-Encoding : chunked\r\n", 400),
        (b"Transfer-Encoding\t: chunked\r\n", 400),
        (b"\rTransfer-Encoding: chunked\r\n", 400),
        (b"X: 1\nTransfer-Encoding: chunked\r\n", 400),
    ],
)
async def test_coding_other_than_one_chunked_is_refused(lines: bytes, status: int) -> None:
    assert (await refusal(POST + lines + b"\r\n0\r\n\r\n")).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.behaviour(25)
@pytest.mark.parametrize("coding", [b"chunked", b"identity", b"gzip, chunked"])
async def test_http_1_0_request_with_a_coding_is_refused(coding: bytes) -> None:
    old = b"POST / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n"
    got = await refusal(old + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n")

    assert got.startswith(b"HTTP/1.1 400 ")


# Chunks


@pytest.mark.behaviour(26)
@pytest.mark.parametrize(
    "bad",
    [
        b"xyz\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"+3\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"\t3\r\nabc\r\n",
        b"3_\r\nabc\r\n",
        b"3.0\r\nabc\r\n",
        b"\r\nabc\r\n",
        b";x\r\nabc\r\n",
        b"3\nabc\r\n",
        b"3\rabc\r\n",
        b"3;a\rb\r\nabc\r\n",
        b"3;a\nb\r\nabc\r\n",
        b"3;a\x00\r\nabc\r\n",
        b"3 a\r\nabc\r\n",
        b"3\r\nabc\n",
        b"3\r\nabcX\r\n",
        b"3\r\nabc3\r\nabc\r\n",
        b"3\r\nabc\rX",
        b"2\r\nabc\r\n",
        b"f" * 16 + b"\r\nabc\r\n",
        b"1" + b"0" * 30 + b"\r\nabc\r\n",
        b"3;" + b"e" * 65_536 + b"\r\nabc\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0\r\nX : 1\r\n\r\n",
        b"0\r\n X: 1\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"0\r\nX: \x01\r\n\r\n",
        b"0\n\n",
    ],
)
async def test_broken_chunk_is_refused_and_the_upload_is_cut_not_completed(bad: bytes) -> None:
    ended = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.rest()
        finally:
            ended.set()

    async with relaying(script) as served:
        got = await ask(served.port, CHUNKED + b"4\r\ngood\r\n" + bad + b"0\r\n\r\n" + SMUGGLED)
        await until(lambda: served.raw.connections == 0 or ended.is_set())

        assert got.startswith(b"HTTP/1.1 400 ")
        assert got.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in got
        for record in served.raw.received:
            assert b"0\r\n\r\n" not in record
            assert b"smuggled" not in record


# Bytes that belong in no head


@pytest.mark.behaviour(27)
@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\nY: 2\r\n\r\n",
        b"GET / HTTP/1.1\rHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[0m\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: 1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET\x00 / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x00\r\n\r\n",
    ],
)
async def test_bare_line_ends_and_control_bytes_are_refused(head: bytes) -> None:
    assert (await refusal(head)).startswith(b"HTTP/1.1 400 ")


@pytest.mark.behaviour(28)
@pytest.mark.parametrize(
    "lines",
    [
        b"X: 1\r\n folded\r\n",
        b"X: 1\r\n\tfolded\r\n",
        b"X:\r\n Transfer-Encoding: chunked\r\n",
        b"X : 1\r\n",
        b"X\t: 1\r\n",
        b"Content-Length : 4\r\n",
        b"no colon\r\n",
        b": no name\r\n",
        b":\r\n",
        b"\xe9: 1\r\n",
        b"X(Y): 1\r\n",
        b"X Y: 1\r\n",
        b"X,Y: 1\r\n",
        b'"X": 1\r\n',
        b" X: 1\r\n",
    ],
)
@pytest.mark.parametrize("where", [b"%bHost: a\r\n", b"Host: a\r\n%b"], ids=["first", "last"])
async def test_line_that_is_no_field_is_refused_wherever_it_stands(
    lines: bytes, where: bytes
) -> None:
    got = await refusal(b"GET / HTTP/1.1\r\n" + where % lines + b"\r\n")

    assert got.startswith(b"HTTP/1.1 400 ")
