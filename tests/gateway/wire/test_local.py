"""Our own application behind the same connection: what it is given and how its answer goes out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gateway.wire.door import Local
from tests.support.wire import (
    Served,
    ask,
    client,
    plays,
    relaying,
    undated,
    until,
    within,
    write_until_blocked,
)

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Scope = dict[str, Any]

GET = b"GET /a%2Fb%20c?x=%20 HTTP/1.1\r\nHost: a\r\nX-Y:  1 \r\nConnection: close\r\n\r\n"
KEEP = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def own(app: Any, local: Local | None = None) -> AsyncIterator[Served]:
    """Serve everything from an application of our own."""
    async with relaying(plays(OK), app) as served:
        served.door.chosen = lambda head: local or Local({"caller": "me"}, ("key",))
        yield served


async def whole(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message["body"])
        if not message["more_body"]:
            return body


async def start(send: Send, status: int = 200, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def say(send: Send, body: bytes, *, more: bool = False) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": more})


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await whole(receive)
    await start(send)
    await say(send, body)


async def streams(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send)
    await say(send, b"a", more=True)
    await say(send, b"", more=True)
    await say(send, b"bc", more=True)
    await say(send, b"")


# What the application is given


async def test_scope_tells_the_request() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await echo(scope, receive, send)

    async with own(app) as served:
        await ask(served.port, GET)
    (scope,) = scopes

    assert scope["method"] == "GET"
    assert (scope["path"], scope["raw_path"]) == ("/a/b c", b"/a%2Fb%20c")
    assert scope["query_string"] == b"x=%20"
    assert scope["headers"] == [(b"host", b"a"), (b"x-y", b"1"), (b"connection", b"close")]
    assert scope["state"] == {"caller": "me"}
    assert scope["client"][0] == "127.0.0.1"


async def test_door_may_choose_another_path() -> None:
    paths: list[tuple[str, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        paths.append((scope["path"], scope["query_string"]))
        await echo(scope, receive, send)

    async with own(app, Local({}, path="/gateway/starting")) as served:
        await ask(served.port, GET)

    assert paths == [("/gateway/starting", b"")]


@pytest.mark.parametrize(
    "framed",
    [
        b"Content-Length: 8\r\n\r\nthe body",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nthe\r\n5;x\r\n body\r\n0\r\nX: 1\r\n\r\n",
    ],
)
async def test_body_is_given_decoded(framed: bytes) -> None:
    async with own(echo) as served:
        got = await ask(
            served.port, b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + framed
        )

        assert undated(got) == (
            b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\nthe body"
        )


async def test_body_is_given_as_it_comes() -> None:
    pieces: list[bytes] = []
    first = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pieces.append((await receive())["body"])
        first.set()
        pieces.append((await receive())["body"])
        await start(send)
        await say(send, b"ok")

    async with own(app) as served, client(served.port) as (reader, writer):
        writer.write(UPLOAD + b"\r\nab")
        await within(first.wait())
        writer.write(b"cd")
        await reader.until(b"ok")

    assert pieces == [b"ab", b"cd"]


async def test_body_that_nobody_takes_is_not_read() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await go_on.wait()
        await echo(scope, receive, send)

    size = 20_000_000
    async with own(app) as served, client(served.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        written = await write_until_blocked(writer, most=size)
        go_on.set()
        writer.write(b"x" * (size - written))

        assert (await reader.head()).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.behaviour(40)
async def test_continue_is_sent_when_the_body_is_first_wanted() -> None:
    async with own(echo) as served, client(served.port) as (reader, writer):
        writer.write(UPLOAD + b"Expect: 100-Continue\r\n\r\n")
        assert await reader.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")

        assert (await reader.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    await start(send, 413)
    await say(send, b"no")


@pytest.mark.behaviour(40)
@pytest.mark.parametrize(
    ("app", "request_bytes"),
    [
        (refuses, UPLOAD + b"Expect: 100-continue\r\n\r\n"),
        (echo, UPLOAD + b"Expect: 100-continue\r\n\r\nbody"),
        (echo, UPLOAD.replace(b"1.1", b"1.0") + b"Expect: 100-continue\r\n\r\nbody"),
        (echo, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n"),
    ],
)
async def test_continue_is_not_sent_where_it_makes_no_sense(app: Any, request_bytes: bytes) -> None:
    async with own(app) as served:
        assert b"100 Continue" not in await ask(served.port, request_bytes)


async def test_broken_body_is_refused_and_the_application_told() -> None:
    told: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["type"] == "http.request":
            pass
        told.append(message["type"])

    async with own(app) as served:
        got = await ask(
            served.port,
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
            b"Transfer-Encoding: chunked\r\n\r\nxx\r\n",
        )
        await until(lambda: bool(told))

        assert got.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert told == ["http.disconnect"]
        assert b"100 Continue" not in got


# How its answer goes out


async def test_streamed_answer_is_chunked() -> None:
    async with own(streams) as served:
        assert undated(await ask(served.port, GET)) == (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"
        )


@pytest.mark.behaviour(10)
async def test_streamed_answer_to_http_1_0_ends_with_its_connection() -> None:
    async with own(streams) as served:
        got = await ask(served.port, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

        assert undated(got) == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc"


async def test_announced_length_and_date_are_kept() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        dated = (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")
        await start(send, 200, (b"content-length", b"2"), (b"set-cookie", b"a=1"), dated)
        await say(send, b"o", more=True)
        await say(send, b"k")

    async with own(app) as served:
        assert await ask(served.port, GET) == (
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie: a=1\r\n"
            b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
            b"Connection: close\r\n\r\nok"
        )


@pytest.mark.parametrize("app", [streams, echo])
async def test_head_gets_no_body_and_the_next_answer_follows(app: Any) -> None:
    async with own(app) as served, client(served.port) as (reader, writer):
        writer.write(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + KEEP)
        await reader.head()

        assert (await reader.head()).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("status", [204, 304])
async def test_status_without_a_body_has_none(status: int) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, status)
        await say(send, b"surplus")

    async with own(app) as served:
        got = await ask(served.port, GET)

        assert got.endswith(b"\r\nConnection: close\r\n\r\n")
        assert b"Length" not in got


async def test_connection_is_kept_after_an_answer() -> None:
    async with own(echo) as served, client(served.port) as (reader, writer):
        for _ in range(3):
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok")
            assert undated(await reader.until(b"ok")) == OK


async def test_http_1_0_client_is_told_that_its_connection_stays() -> None:
    async with own(echo) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

            assert b"\r\nConnection: keep-alive\r\n" in await reader.head()


async def test_slow_reader_holds_the_application() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await start(send)
        while True:
            await asyncio.wait_for(say(send, b"x" * 65536, more=True), 0.3)
            sent += 65536

    async with own(app) as served, client(served.port) as (_, writer):
        writer.write(KEEP)
        outcome = await served.ended()

        assert sent < 40_000_000
        assert outcome.status == 200


# How it ends before its time


async def test_failure_before_the_answer_is_500(caplog: pytest.LogCaptureFixture) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("a defect")

    async with own(app) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(KEEP)
            assert (await reader.until(b"request.")).startswith(b"HTTP/1.1 500 ")

    assert "a defect" in caplog.text


async def test_failure_is_logged_in_a_line_that_its_request_cannot_forge(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("a defect")

    async with own(app) as served, client(served.port) as (reader, writer):
        writer.write(b"GET /%0aforged\xff?secret=1 HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.until(b"request.")

    assert caplog.messages == [r"own request failed: GET /%0aforged\xff"]


async def test_application_that_never_answers_is_500() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)

    async with own(app) as served, client(served.port) as (reader, writer):
        writer.write(KEEP)

        assert (await reader.until(b"request.")).startswith(b"HTTP/1.1 500 ")


async def test_failure_amid_the_answer_is_visible_as_truncation() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await say(send, b"half", more=True)
        raise ValueError("a defect")

    async with own(app) as served:
        assert (await ask(served.port, KEEP)).endswith(b"\r\n\r\n4\r\nhalf\r\n")


class Stream:
    """An endless stream of ours that notes how its client went."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()
        self.message: dict[str, Any] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await start(send, 200, (b"content-type", b"text/event-stream"))
        await say(send, b"a", more=True)
        await whole(receive)
        self.message = await receive()
        with pytest.raises(OSError, match="gone"):
            await say(send, b"b", more=True)
        self.ended.set()


async def test_application_is_told_that_the_client_left() -> None:
    stream = Stream()
    async with own(stream) as served:
        async with client(served.port) as (reader, writer):
            writer.write(KEEP)
            await reader.until(b"a\r\n")
        async with asyncio.timeout(1):
            await stream.ended.wait()

        assert stream.message == {"type": "http.disconnect"}
        assert (await served.ended()).trouble == "client gone"


async def test_client_that_leaves_wakes_an_application_that_waits_to_write() -> None:
    left = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        try:
            while True:
                await say(send, b"x" * 1_000_000, more=True)
        except OSError:
            left.set()

    async with own(app) as served:
        async with client(served.port) as (reader, writer):
            writer.write(KEEP)
            await reader.head()
            await until(lambda: served.connection.clogged)
        await within(left.wait())


async def test_revoked_stream_ends_at_once() -> None:
    stream = Stream()
    async with own(stream) as served, client(served.port) as (reader, writer):
        writer.write(KEEP)
        await reader.until(b"a\r\n")
        assert served.wiring.live.close("key") == 1

        assert await reader.rest() == b""
        await within(stream.ended.wait())
        assert (await served.ended()).trouble == "revoked"


async def test_shutdown_ends_a_stream() -> None:
    stream = Stream()
    async with own(stream) as served, client(served.port) as (reader, writer):
        writer.write(KEEP)
        await reader.until(b"a\r\n")
        served.shut_down()

        assert await reader.rest() == b""
        await within(stream.ended.wait())


async def test_stream_that_begins_during_the_shutdown_ends_at_once() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await go_on.wait()
        await start(send, 200, (b"content-type", b"text/event-stream"))
        await say(send, b"a", more=True)
        with pytest.raises(OSError, match="gone"):
            await say(send, b"b", more=True)

    async with own(app) as served, client(served.port) as (reader, writer):
        writer.write(KEEP)
        await within(asked.wait())
        served.shut_down()
        go_on.set()

        assert (await reader.rest()).endswith(b"\r\n\r\n1\r\na\r\n")


async def test_shutdown_lets_a_long_answer_finish_that_is_no_event_stream() -> None:
    go_on = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await start(send)
        await say(send, b"a", more=True)
        await go_on.wait()
        await say(send, b"b")

    async with own(app) as served, client(served.port) as (reader, writer):
        writer.write(KEEP)
        await reader.until(b"a\r\n")
        served.shut_down()
        go_on.set()

        assert await reader.rest() == b"1\r\nb\r\n0\r\n\r\n"


async def test_shutdown_lets_a_short_answer_finish() -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.set()
        await go_on.wait()
        await echo(scope, receive, send)

    async with own(app) as served, client(served.port) as (reader, writer):
        writer.write(KEEP)
        await within(asked.wait())
        served.shut_down()
        go_on.set()

        assert (await reader.rest()).endswith(b"\r\nConnection: close\r\n\r\n")


async def test_application_that_lives_on_after_its_answer_holds_nothing() -> None:
    """Its next receive must not read on behalf of a later exchange, which may be held."""
    answered, later = asyncio.Event(), asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await echo(scope, receive, send)
        answered.set()
        assert await receive() == {"type": "http.disconnect"}
        later.set()

    async with own(app) as served, client(served.port) as (reader, writer):
        writer.write(KEEP)
        await reader.head()
        await within(later.wait())


async def test_body_that_does_not_come_in_time_ends_the_connection() -> None:
    async with relaying(plays(OK), echo, own_body_s=0.01) as served:
        served.door.chosen = lambda head: Local({})
        async with client(served.port) as (reader, writer):
            writer.write(UPLOAD + b"\r\nab")
            with suppress(ConnectionResetError):
                assert await reader.rest() == b""

        assert served.door.outcomes[0].trouble == "body too slow"


async def test_body_that_came_in_time_lets_the_answer_take_its_own() -> None:
    came, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await whole(receive)
        came.set()
        await may_answer.wait()
        await start(send)
        await say(send, b"late")

    async with relaying(plays(OK), slow) as served:
        served.door.chosen = lambda head: Local({})
        async with client(served.port) as (reader, writer):
            writer.write(UPLOAD + b"\r\nabcd")
            await within(came.wait())
            served.wiring.deadlines.sweep(now=asyncio.get_running_loop().time() + 3600)
            may_answer.set()

            assert (await reader.rest()).endswith(b"late")
