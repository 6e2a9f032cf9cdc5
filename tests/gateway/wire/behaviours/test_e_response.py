"""Behaviours 41 to 50 and 57 to 59: valid responses, and that they arrive as they were sent."""

import asyncio
from pathlib import Path

import pytest

from tests.support.exchange import GET, answered, answered_lines, forwarded_lines
from tests.support.front import Gateway, RawOpenCode
from tests.support.wire import Recorded, ask, client, plays, relaying

DATE = b"Date: then\r\n"
EVENTS = b"Content-Type: text/event-stream"
PLAIN, CHUNK = b"%b", b"1\r\n%b\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"


def dated(first: bytes, *lines: bytes, body: bytes = b"") -> bytes:
    """Return a whole response that says when it was made."""
    return first + b"\r\n" + DATE + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.mark.behaviour(41)
@pytest.mark.parametrize("status", [200, 299, 418, 451, 599, 600, 700, 999])
async def test_status_of_three_digits_is_relayed(status: int) -> None:
    answer = dated(b"HTTP/1.1 %d Odd" % status, b"Content-Length: 2", body=b"ok")

    assert await answered(answer) == answer.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.behaviour(41)
@pytest.mark.parametrize("status", [b"99", b"099", b"000", b"1000", b"2OO", b"-20", b"20", b""])
async def test_status_that_is_none_is_a_clean_502(status: bytes) -> None:
    got = await answered(dated(b"HTTP/1.1 " + status + b" Odd", b"Content-Length: 0"))

    assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert got.endswith(b"\r\n\r\ninvalid")


@pytest.mark.behaviour(42)
@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
async def test_each_interim_answer_arrives_before_the_final_one(status: bytes) -> None:
    interim = b"HTTP/1.1 " + status + b"\r\nLink: </a>; rel=preload\r\nX-Only: interim\r\n\r\n"
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(interim * 2)
        await go_on.wait()
        writer.write(dated(b"HTTP/1.1 200 OK", b"Content-Length: 0"))

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        assert await reader.head() == interim
        assert await reader.head() == interim
        go_on.set()

        assert await reader.head() == dated(b"HTTP/1.1 200 OK", b"Content-Length: 0")


@pytest.mark.behaviour(42)
async def test_upstream_that_dies_behind_an_interim_answer_is_a_502() -> None:
    got = await answered(b"HTTP/1.1 103 Early Hints\r\n\r\n")

    assert got.startswith(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 502 Bad Gateway\r\n")


@pytest.mark.behaviour(43)
@pytest.mark.parametrize(
    "framing", [b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X-None: 1"]
)
async def test_answer_to_head_ends_with_its_head(framing: bytes) -> None:
    answer = dated(b"HTTP/1.1 200 OK", framing)
    async with relaying(plays(answer)) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(HEAD)
            got = await reader.head()

            assert (b"\r\nContent-Length: 5\r\n" in got) is (b"Length" in framing)
        writer.write(HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await reader.head()
        assert await reader.rest() == b""
        assert served.raw.connections == 1


@pytest.mark.behaviour(44)
@pytest.mark.parametrize(
    ("first", "framing", "kept"),
    [
        (b"HTTP/1.1 204 None", (), ()),
        (b"HTTP/1.1 204 None", (b"Content-Length: 0",), ()),
        (b"HTTP/1.1 204 None", (b"Content-Length: 5",), ()),
        (b"HTTP/1.1 204 None", (b"Transfer-Encoding: chunked",), ()),
        (b"HTTP/1.1 304 Same", (), ()),
        (b"HTTP/1.1 304 Same", (b"Content-Length: 5",), (b"Content-Length: 5",)),
        (b"HTTP/1.1 304 Same", (b"Transfer-Encoding: chunked",), ()),
    ],
)
async def test_204_and_304_bring_no_body_and_keep_both_connections(
    first: bytes, framing: tuple[bytes, ...], kept: tuple[bytes, ...]
) -> None:
    async with (
        relaying(plays(dated(first, *framing, b"ETag: x"))) as served,
        client(served.port) as (reader, writer),
    ):
        for _ in range(3):
            writer.write(GET)

            assert await reader.head() == dated(first, *kept, b"ETag: x")
        assert served.raw.connections == 1


@pytest.mark.behaviour(45, 46)
@pytest.mark.parametrize(
    ("lines", "piece", "passed"),
    [
        ((b"Content-Length: 3",), PLAIN, PLAIN),
        ((b"Transfer-Encoding: chunked",), CHUNK, CHUNK),
        ((EVENTS, b"Transfer-Encoding: chunked"), CHUNK, CHUNK),
        ((EVENTS + b";charset=utf-8", b"Transfer-Encoding: chunked"), CHUNK, CHUNK),
        ((EVENTS.upper() + b" ; charset=UTF-8",), PLAIN, CHUNK),
        ((b"Content-Type: application/octet-stream",), PLAIN, CHUNK),
    ],
)
async def test_head_and_each_read_arrive_before_the_next_is_sent(
    lines: tuple[bytes, ...], piece: bytes, passed: bytes
) -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(dated(b"HTTP/1.1 200 OK", *lines))
        for event in (b"a", b"b", b"c"):
            await go_on.wait()
            go_on.clear()
            writer.write(piece % event)
        await reader.rest()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        assert (await reader.head()).startswith(b"HTTP/1.1 200 OK\r\n")
        for event in (b"a", b"b", b"c"):
            go_on.set()

            assert await reader.exactly(len(passed % event)) == passed % event


@pytest.mark.behaviour(47)
@pytest.mark.parametrize(
    ("coding", "body"),
    [
        (b"gzip", b"\x1f\x8b\x08\x00corrupt\x00\xff"),
        (b"br", b"\x0b\x02\x80ok\x03"),
        (b"zstd", b"\x28\xb5\x2f\xfd\x00"),
        (b"deflate, gzip", bytes(range(256))),
        (b"made-up", b"\r\n\r\nHTTP/1.1 500 No\r\n\r\n"),
    ],
)
async def test_encoded_body_arrives_byte_for_byte(coding: bytes, body: bytes) -> None:
    lines = (b"Content-Encoding: " + coding, b"Content-Length: %d" % len(body))
    answer = dated(b"HTTP/1.1 200 OK", *lines, body=body)
    head, _, rest = answer.partition(b"\r\n\r\n")

    assert await answered(answer) == head + b"\r\nConnection: close\r\n\r\n" + rest
    assert await forwarded_lines(b"Accept-Encoding: " + coding) == [b"Accept-Encoding: " + coding]


@pytest.mark.behaviour(48)
async def test_conditions_and_ranges_are_between_client_and_upstream() -> None:
    asked = [
        b"Range: bytes=0-1,5-",
        b'If-Range: "x"',
        b'If-None-Match: W/"y", *',
        b"If-Match: *",
        b"If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
        b"Last-Event-ID: \xe9 7",
        b"Cache-Control: no-cache",
    ]
    said = [
        b"Content-Range: bytes 0-1/9",
        b"Content-Type: multipart/byteranges; boundary=x",
        b'ETag: W/"x"',
        b"Vary: Accept, *",
        b"Accept-Ranges: bytes",
        b"Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT",
        b"Age: 7",
    ]

    assert await forwarded_lines(*asked) == asked
    assert await answered_lines(*said) == said


@pytest.mark.behaviour(48)
async def test_partial_answer_arrives_as_it_was_sent() -> None:
    body = b"--x\r\nContent-Range: bytes 0-1/9\r\n\r\nok\r\n--x--\r\n"
    lines = (b"Content-Type: multipart/byteranges; boundary=x", b"Content-Length: %d" % len(body))
    got = await answered(dated(b"HTTP/1.1 206 Part", *lines, body=body))

    assert got.startswith(b"HTTP/1.1 206 Part\r\n")
    assert got.endswith(b"\r\n\r\n" + body)


@pytest.mark.behaviour(50)
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_body_that_ends_with_its_connection_keeps_the_clients(version: bytes) -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/" + version + b" 200 OK\r\n" + DATE + b"\r\nfirst")
        await go_on.wait()
        go_on.clear()
        writer.write(b"second")

    async with relaying(script) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(GET)
            await reader.until(b"\r\n\r\n5\r\nfirst\r\n")
            go_on.set()

            assert await reader.until(b"0\r\n\r\n") == b"6\r\nsecond\r\n0\r\n\r\n"
        assert served.raw.connections == 2


@pytest.mark.behaviour(57)
@pytest.mark.parametrize("fold", [b"X: 1\r\n folded", b"X: 1\r\n\tfolded", b"X:\r\n \r\nY: 2"])
async def test_folded_field_of_a_response_is_a_502(fold: bytes) -> None:
    got = await answered(dated(b"HTTP/1.1 200 OK", fold, b"Content-Length: 0"))

    assert got.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    assert b"folded" not in got


@pytest.mark.behaviour(59)
async def test_redirect_cookies_and_links_are_relayed_and_nobody_goes_there(
    gw: Gateway, tmp_path: Path
) -> None:
    elsewhere = RawOpenCode(b"")
    await elsewhere.start()
    lines = (
        b"Location: http://127.0.0.1:%d/x?y=%%2F" % elsewhere.port,
        b"Set-Cookie: a=b; Domain=gw.example; Path=/x; SameSite=None",
        b"Link: </style.css>; rel=preload",
        b"Content-Location: /elsewhere",
        b"Refresh: 0; url=http://127.0.0.1:%d/" % elsewhere.port,
    )
    gw.container.answer = dated(b"HTTP/1.1 307 There", *lines, b"Content-Length: 0")
    got = await ask(
        gw.port,
        b"GET / HTTP/1.1\r\nHost: gw.example\r\nConnection: close\r\nCookie: %b\r\n\r\n"
        % gw.cookie.encode(),
    )
    elsewhere.stop()

    assert got.startswith(dated(b"HTTP/1.1 307 There", *lines)[:-2])
    assert elsewhere.heads == []


@pytest.mark.behaviour(58)
async def test_what_the_upstream_says_of_time_and_itself_stands_alone() -> None:
    said = [b"Server: OpenCode", b"X-Powered-By: x", b"date: later"]

    assert await answered_lines(*said) == said


@pytest.mark.behaviour(58)
async def test_answers_of_the_gateway_itself_have_one_date_and_no_server(gw: Gateway) -> None:
    for path in (b"/gateway/health", b"/session", b"*"):
        got = await ask(
            gw.port, b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        )
        head = got.partition(b"\r\n\r\n")[0].lower()

        assert head.count(b"\r\ndate: ") == 1
        assert b"\r\nserver: " not in head
