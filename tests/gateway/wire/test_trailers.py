"""Fields behind a chunked body: to whom they go, and which never do."""

import asyncio

import pytest

from gateway.wire.trailers import announcement, passes
from tests.support.wire import Recorded, ask, client, plays_once, relaying

TE = b"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE, close\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n"
BODY = b"2\r\nok\r\n0\r\nX-Sum: 1\r\nset_cookie: a=b\r\nX-Hidden: 1\r\nX-Late:2\r\n\r\n"
BARE = b"2\r\nok\r\n0\r\n\r\n"


async def through(request: bytes, answer: bytes = HEAD + BODY) -> bytes:
    async with relaying(plays_once(answer)) as served:
        served.door.chosen = lambda head: served.door.relay(head, hidden=frozenset((b"x-hidden",)))
        return await ask(served.port, request)


@pytest.mark.behaviour(49)
async def test_client_that_takes_trailers_gets_those_that_are_harmless() -> None:
    assert await through(TE) == (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
        b"Connection: close\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Late:2\r\n\r\n"
    )


@pytest.mark.behaviour(14, 49)
async def test_wish_for_trailers_reaches_the_upstream() -> None:
    async with relaying(plays_once(HEAD + BODY)) as served:
        await ask(served.port, TE)

        assert served.raw.received[0] == (
            b"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n"
        )


@pytest.mark.behaviour(49)
@pytest.mark.parametrize("te", [b"", b"TE: gzip\r\n"])
async def test_client_that_takes_none_gets_neither_trailers_nor_their_announcement(
    te: bytes,
) -> None:
    answer = await through(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + te + b"\r\n")

    assert b"Trailer" not in answer
    assert answer.endswith(b"\r\n\r\n" + BARE)


@pytest.mark.behaviour(10, 49)
async def test_client_of_http_1_0_sees_no_trailers() -> None:
    answer = await through(b"GET / HTTP/1.0\r\nTE: trailers\r\nConnection: TE\r\n\r\n")

    assert answer == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok"


@pytest.mark.behaviour(49, 52)
async def test_trailers_of_a_body_that_breaks_off_do_not_arrive() -> None:
    answer = await through(TE, HEAD + BODY[:-2])

    assert answer.endswith(b"2\r\nok\r\n")


@pytest.mark.behaviour(29)
async def test_trailers_of_a_request_are_dropped() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"0\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(
            b"POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTrailer: X-Sum\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n" + BODY
        )
        await reader.head()

        assert b"X-Sum" not in served.raw.received[0]
        assert served.raw.received[0].endswith(b"\r\n\r\n" + BARE)


@pytest.mark.behaviour(49)
@pytest.mark.parametrize(
    "name",
    [
        b"Content-Length", b"Transfer-Encoding", b"Host", b"Authorization", b"Cookie",
        b"Set-Cookie", b"TE", b"Trailer", b"Connection", b"Keep-Alive", b"Upgrade", b"Content-Type",
        b"Content-Encoding", b"Content-Range", b"Cache-Control", b"Vary", b"Location",
        b"WWW-Authenticate", b"Proxy-Authorization", b"X-Forwarded-For", b"Forwarded", b"If-Match",
        b"Access-Control-Allow-Origin", b"Sec-WebSocket-Accept", b"Strict-Transport-Security",
    ],
)  # fmt: skip
def test_trailer_that_decides_something_never_passes(name: bytes) -> None:
    assert not passes(name)
    assert not passes(name.upper().replace(b"-", b"_"))


@pytest.mark.parametrize("name", [b"X-Sum", b"Server-Timing", b"grpc-status", b"Content-Digest"])
def test_trailer_that_only_tells_passes(name: bytes) -> None:
    assert passes(name)


def test_announcement_names_what_passes_and_nothing_else() -> None:
    values = [b" X-Sum ,, Host", b"ETag,X-Hidden"]

    assert announcement(values, frozenset((b"x-hidden",))) == b"Trailer: X-Sum, ETag\r\n"
    assert announcement([b"Host"], frozenset()) == b""
