"""Whatever bytes come from either side, no message appears on the other that was not one.

And nothing crashes, says a word to the log, or keeps a connection, a task or a buffer.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.door import Decision, Local, Wait
from gateway.wire.request_head import RequestHead
from tests.gateway.wire.properties import streams
from tests.gateway.wire.properties.effort import ON_SOCKETS
from tests.gateway.wire.properties.exchanges import cut, segments
from tests.gateway.wire.properties.left import nothing_left
from tests.gateway.wire.properties.messages import (
    Seen,
    next_head,
    read_answer,
    read_body,
    read_request,
)
from tests.gateway.wire.properties.reference import requests_in, response_in
from tests.support.wire import Recorded, Served, client, relaying, within

GOOD = b"HTTP/1.1 200 Good\r\nContent-Length: 4\r\n\r\ngood"
LAST = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
LAST_ANSWER = GOOD.replace(b"4\r\n\r\n", b"4\r\nConnection: close\r\n\r\n")
ENDED = (asyncio.IncompleteReadError, ConnectionError)


async def send(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    """Send each piece by itself, as long as anybody is there."""
    with suppress(ConnectionError, RuntimeError):
        for piece in pieces:
            if writer.transport.is_closing():
                return
            writer.write(piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await writer.drain()


async def settled() -> None:
    """Let a request get to the upstream and its answer back: all of it runs in this one loop."""
    for _ in range(30):
        await asyncio.sleep(0)


# From the client


Asked = tuple[bytes, list[bytes], bytes]


def asked(request: RequestHead, payload: bytes) -> Asked:
    return b"%b %b HTTP/1.1" % (request.method, request.target), [request.host], payload


class Answerer:
    """Gives every request the same answer, as an upstream and as our own application.

    It keeps what it was asked, and heads that are torn.
    """

    def __init__(self) -> None:
        self.served: Served
        self.asked: list[Asked] = []
        self.torn: list[bytes] = []

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await next_head(reader)
            except asyncio.IncompleteReadError as cut_off:
                self.torn += filter(None, [cut_off.partial])
                return
            seen = await read_body(reader, head)
            self.asked.append((seen.first, seen.values(b"host"), seen.payload))
            writer.write(GOOD)

    async def app(self, scope: Any, receive: Any, send: Any) -> None:
        payload, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            payload, more = payload + message["body"], message["more_body"]
        self.asked.append(asked(scope["state"]["head"], payload))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"good"})

    async def relayed_later(self, head: RequestHead) -> Decision:
        await asyncio.sleep(0)
        return self.served.door.relay(head)


WAYS: dict[str, Callable[[Answerer, RequestHead], Decision]] = {
    "relayed": lambda answerer, head: answerer.served.door.relay(head),
    "awaited": lambda answerer, head: Wait(partial(answerer.relayed_later, head)),
    "our-own": lambda answerer, head: Local({"head": head}),
}


@pytest.fixture(params=WAYS)
async def answerer(request: pytest.FixtureRequest) -> AsyncIterator[Answerer]:
    answerer = Answerer()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answerer.app(scope, receive, send)

    async with relaying(answerer, app) as answerer.served:
        answerer.served.door.chosen = partial(WAYS[request.param], answerer)
        yield answerer


async def talk(port: int, pieces: list[bytes], methods: list[bytes]) -> tuple[list[Seen], bytes]:
    """Send all this; return an answer to each of the requests, and what came besides."""
    got: list[Seen] = []
    async with client(port) as (reader, writer), asyncio.TaskGroup() as both:
        sending = both.create_task(send(writer, pieces))
        with suppress(*ENDED):
            for method in methods:
                got += await read_answer(reader, method)
        await sending
        await settled()
        with suppress(OSError, RuntimeError):
            writer.write_eof()
        with suppress(ConnectionError):
            return got, await reader.rest()
    return got, b""


@pytest.mark.behaviour(22, 26, 32)
@ON_SOCKETS
@given(sent=streams.of_client, cuts=segments)
async def test_no_bytes_of_a_client_make_a_request_that_was_none(
    answerer: Answerer, caplog: pytest.LogCaptureFixture, sent: bytes, cuts: tuple[int, ...]
) -> None:
    answerer.asked = []
    allowed = requests_in(sent)

    methods = [request.method for request, _ in allowed]
    got, besides = await talk(answerer.served.port, cut(sent, cuts), methods)
    await nothing_left(answerer.served)

    count = len(answerer.asked)
    assert answerer.asked == [asked(*each) for each in allowed][:count]
    assert count == len(allowed) or not allowed[-1][0].keep_alive
    assert answerer.torn == []
    good = [answer.payload for answer in got if answer.first.startswith(b"HTTP/1.1 200 ")]
    # Who sends on after asking for the end may lose the last answer by it (RFC 9112 §9.6).
    assert len(good) == count or not allowed[-1][0].keep_alive
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", besides)) <= 1
    assert caplog.records == []


# From the upstream


class Player:
    """An upstream that answers one request with given bytes, and every other one well."""

    def __init__(self) -> None:
        self.served: Served
        self.pieces: list[bytes] = []
        self.closes = False
        self.played = asyncio.Event()

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            if not self.pieces:
                writer.write(GOOD)
                continue
            pieces, self.pieces = self.pieces, []
            await send(writer, pieces)
            self.played.set()
            if self.closes:
                return

    def will_play(self, pieces: list[bytes], *, closes: bool) -> None:
        self.pieces, self.closes = pieces, closes
        self.played.clear()


@pytest.fixture
async def player() -> AsyncIterator[Player]:
    player = Player()
    async with relaying(player) as player.served:
        yield player


@pytest.mark.behaviour(55, 56)
@ON_SOCKETS
@given(
    sent=streams.of_upstream,
    cuts=segments,
    method=st.sampled_from([b"GET", b"HEAD", b"POST"]),
    closes=st.booleans(),
)
async def test_no_bytes_of_an_upstream_make_a_response_that_was_none(
    player: Player,
    caplog: pytest.LogCaptureFixture,
    sent: bytes,
    cuts: tuple[int, ...],
    method: bytes,
    closes: bool,
) -> None:
    closes = closes or response_in(sent, method, closes=False) is None
    player.will_play(cut(sent, cuts), closes=closes)
    allowed = response_in(sent, method, closes=closes)

    async with client(player.served.port) as (reader, writer):
        writer.write(method + b" / HTTP/1.1\r\nHost: h\r\n\r\n")
        whole = True
        try:
            *_, got = await read_answer(reader, method)
        except ENDED:
            whole = False
        await within(player.played.wait())
        await settled()
        if whole:
            writer.write(LAST)
            assert await reader.rest() == LAST_ANSWER
    await nothing_left(player.served)

    if allowed is None or allowed[0].status < 200:
        assert not whole or got.first == b"HTTP/1.1 502 Bad Gateway"
    else:
        response, payload = allowed
        assert whole
        assert got.first == b"HTTP/1.1 %d %b" % (response.status, response.reason)
        assert got.payload == payload
    assert caplog.records == []
