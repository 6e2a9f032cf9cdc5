"""Upgraded connections: bytes both ways, and every way they can end."""

import asyncio

import pytest

from gateway.wire import relay as relay_module
from gateway.wire.tunnel import Tunnel
from tests.support.websocket import ASK, SWITCH, echo, listens, switches
from tests.support.wire import (
    DEADLINE_S,
    Recorded,
    Served,
    client,
    plays,
    plays_once,
    relaying,
    reset,
    until,
    within,
    write_until_blocked,
)

BLOCK = b"x" * 65536


@pytest.mark.behaviour(69, 72)
async def test_handshake_is_the_upstreams_and_then_bytes_go_both_ways() -> None:
    async with relaying(switches(echo)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        assert await reader.head() == SWITCH
        for message in (b"\x81\x80abcd", b"\x00\xff" * 1000, b"HTTP/1.1 200 OK\r\n\r\n"):
            writer.write(message)
            assert await reader.exactly(len(message)) == message

        assert served.raw.received[0].startswith(
            b"GET /pty/1/connect?x=%2F HTTP/1.1\r\nHost: a\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
            b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )


async def test_mark_and_cookie_filter_hold_for_the_handshake_too() -> None:
    answer = SWITCH.replace(b"Connection", b"Set-Cookie: ours=1\r\nConnection")
    async with relaying(plays_once(answer)) as served, client(served.port) as (reader, writer):
        served.door.chosen = lambda head: served.door.relay(head, mark=b"X-Mark: 1\r\n")
        writer.write(ASK)

        assert await reader.head() == SWITCH[:-2] + b"X-Mark: 1\r\n\r\n"


@pytest.mark.behaviour(72)
async def test_bytes_right_behind_the_handshake_arrive_on_both_sides() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"\r\n\r\n")
        writer.write(SWITCH + b"from upstream")
        await reader.exactly(11)
        writer.write(b"seen")

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(ASK + b"from client")
        assert await reader.until(b"seen") == SWITCH + b"from upstreamseen"

        assert served.raw.received[0].endswith(b"\r\n\r\nfrom client")


@pytest.mark.behaviour(69)
@pytest.mark.parametrize("status", [b"401 No", b"403 No", b"404 No", b"426 No", b"302 No"])
async def test_refused_handshake_is_relayed_and_the_connection_stays(status: bytes) -> None:
    refusal = b"HTTP/1.1 " + status + b"\r\nContent-Length: 3\r\n\r\n\xffno"
    async with relaying(plays_once(refusal)) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(ASK)

            assert await reader.until(b"no") == refusal


async def test_upstream_that_refused_a_handshake_is_asked_no_more_on_that_connection() -> None:
    refusal = b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"
    async with relaying(plays(refusal)) as served, client(served.port) as (reader, writer):
        for _ in range(2):
            writer.write(ASK)
            await reader.until(b"no")

        assert served.raw.connections == 2


@pytest.mark.behaviour(70)
@pytest.mark.parametrize(
    "answer",
    [
        SWITCH.replace(b"websocket", b"h2c"),
        SWITCH.replace(b"Upgrade: websocket\r\n", b""),
        SWITCH.replace(b"websocket", b"websocket, h2c"),
    ],
)
async def test_switch_to_another_protocol_is_a_failure(answer: bytes) -> None:
    async with relaying(plays_once(answer)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)

        assert (await reader.until(b"invalid")).startswith(b"HTTP/1.1 502 ")


@pytest.mark.behaviour(61, 67)
async def test_handshake_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_module, "HANDSHAKE_S", 0.01)
    async with (
        relaying(listens, idle_s=DEADLINE_S) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(ASK)

        assert (await reader.until(b"timeout")).startswith(b"HTTP/1.1 504 ")


@pytest.mark.behaviour(67)
async def test_handshake_deadline_is_over_once_it_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay_module, "HANDSHAKE_S", 0.01)
    async with relaying(switches(echo)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()

        assert served.connection.deadline is None


@pytest.mark.behaviour(74)
async def test_half_close_of_the_client_stays_a_half_close() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.rest()
        writer.write(b"last words")

    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        writer.write(b"over")
        writer.write_eof()

        assert await reader.rest() == b"last words"
        assert served.raw.received[0].endswith(b"over")
        assert (await served.ended()).trouble == ""


@pytest.mark.behaviour(74)
async def test_half_close_of_the_upstream_stays_a_half_close() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        await reader.rest()
        ended.set()

    ended = asyncio.Event()
    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        assert await reader.rest() == b""
        writer.write(b"last words")
        writer.write_eof()
        await within(ended.wait())
        await until(lambda: not served.pool._open)

        assert served.raw.received[0].endswith(b"last words")


@pytest.mark.behaviour(74, 77)
async def test_lost_client_ends_the_upstream() -> None:
    left = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.rest()
        finally:
            left.set()

    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        reset(writer)
        async with asyncio.timeout(1):
            await left.wait()


@pytest.mark.behaviour(74, 77)
async def test_lost_upstream_resets_the_client() -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        reset(writer)

    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        go_on.set()

        with pytest.raises(ConnectionResetError):
            await reader.rest()


@pytest.mark.behaviour(76)
async def test_slow_client_stops_the_upstream() -> None:
    blocked = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await write_until_blocked(writer)
        blocked.set()
        await writer.drain()
        await echo(reader, writer)

    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        await within(blocked.wait())

        assert served.connection.transport.get_write_buffer_size() < 1_000_000
        await reader.exactly(1_000_000)


@pytest.mark.behaviour(76)
async def test_slow_upstream_stops_the_client() -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()
        await echo(reader, writer)

    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        written = await write_until_blocked(writer)
        (to_upstream,) = served.pool._open

        assert to_upstream.transport.get_write_buffer_size() < 1_000_000
        go_on.set()
        await reader.exactly(written)


async def test_next_bytes_of_the_client_are_told_of_once_and_passed_on() -> None:
    told: list[bytes] = []

    async with relaying(switches(echo)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        tunnel = tunnel_of(served)
        tunnel.tell_of_next_bytes(lambda: told.append(b"told"))
        for piece in (b"one", b"two"):
            writer.write(piece)
            assert await reader.exactly(3) == piece

        assert told == [b"told"]


async def test_tunnel_has_moved_when_bytes_passed_since_it_was_asked() -> None:
    async with relaying(switches(echo)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        tunnel = tunnel_of(served)
        assert not tunnel.has_moved()
        writer.write(b"one")
        await reader.exactly(3)

        assert tunnel.has_moved()
        assert not tunnel.has_moved()


def tunnel_of(served: Served) -> Tunnel:
    (receiver,) = served.pool.receivers()
    assert isinstance(receiver, Tunnel)
    return receiver
