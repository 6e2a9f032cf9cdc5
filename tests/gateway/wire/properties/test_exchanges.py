"""Any valid exchange, cut anywhere on both legs, is the same through the gateway as without it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

import pytest
from hypothesis import given

from tests.gateway.wire.properties.effort import ON_SOCKETS
from tests.gateway.wire.properties.exchanges import Exchange, cut, pipelines, segments
from tests.gateway.wire.properties.messages import Seen, read_answer, read_request
from tests.support.wire import Recorded, Served, client, relaying


class Stage:
    """An upstream that gives each request the next answer, and keeps what it was asked."""

    def __init__(self) -> None:
        self.served: Served
        self.next: deque[Exchange] = deque()
        self.asked: list[Seen] = []

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        closes = False
        while not closes:
            seen = await read_request(reader)
            self.asked.append(seen)
            exchange = self.next.popleft()
            await send(writer, cut(exchange.answer, exchange.cuts))
            closes = exchange.closes


async def send(writer: asyncio.StreamWriter, pieces: list[bytes]) -> None:
    """Send each piece by itself; one that the loop has passed on does not join the next."""
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await writer.drain()


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    async with relaying(stage) as stage.served:
        yield stage


async def converse(
    stage: Stage, port: int, exchanges: list[Exchange], cuts: tuple[int, ...]
) -> tuple[list[Seen], list[list[Seen]]]:
    """Ask all this on one connection at once; return what the upstream saw and the client got."""
    stage.asked = []
    stage.next.extend(exchanges)
    asked = b"".join(exchange.request for exchange in exchanges)
    async with client(port) as (reader, writer), asyncio.TaskGroup() as both:
        both.create_task(send(writer, cut(asked, cuts)))
        got = [await read_answer(reader, exchange.method) for exchange in exchanges]
        writer.write_eof()
        assert await reader.rest() == b""
    assert not stage.next
    return stage.asked, got


Told = tuple[object, ...]


def request_through(direct: Seen, exchange: Exchange) -> Told:
    """What the gateway has to make of a request."""
    first = exchange.method + b" " + exchange.target + b" HTTP/1.1"
    return first, [exchange.host], direct.carried(b"host"), direct.framing, direct.bare


def request_seen(through: Seen) -> Told:
    hosts = through.values(b"host")
    return through.first, hosts, through.carried(b"host"), through.framing, through.raw


def answer_through(direct: list[Seen], exchange: Exchange) -> list[Told]:
    """What the gateway has to make of an answer, for the client that asked."""
    *interim, final = direct
    told = interim if exchange.minor else []
    framings = {"close": "chunked"} if exchange.minor else {"chunked": "close"}
    framing = framings.get(final.framing, final.framing)
    lengthless = [b"content-length"] if final.first.split(b" ")[1] == b"204" else []
    raw = final.bare if framing == final.framing else None
    lines = final.carried(*lengthless)
    return [
        *((_line(each), each.carried(b"content-length"), "none", b"", b"") for each in told),
        (_line(final), lines, framing, final.payload, raw),
    ]


def answer_seen(got: list[Seen], wanted: list[Told]) -> list[Told]:
    """What the client saw; of the raw bytes only where their framing is to be kept."""
    return [
        (each.first, each.carried(), each.framing, each.payload, want[-1] and each.raw)
        for each, want in zip(got, wanted, strict=True)
    ]


def _line(seen: Seen) -> bytes:
    return b"HTTP/1.1" + seen.first[8:]


@pytest.mark.behaviour(35, 50)
@ON_SOCKETS
@given(exchanges=pipelines, cuts=segments)
async def test_any_exchanges_are_the_same_through_the_gateway_as_without_it(
    stage: Stage, exchanges: list[Exchange], cuts: tuple[int, ...]
) -> None:
    port = stage.served.raw.port
    direct = [await converse(stage, port, [exchange], cuts) for exchange in exchanges]
    asked, got = await converse(stage, stage.served.port, exchanges, cuts)

    sent = [request_through(a, e) for ((a,), _), e in zip(direct, exchanges, strict=True)]
    assert [request_seen(seen) for seen in asked] == sent
    wanted = [answer_through(g, e) for (_, (g,)), e in zip(direct, exchanges, strict=True)]
    assert [answer_seen(g, w) for g, w in zip(got, wanted, strict=True)] == wanted
