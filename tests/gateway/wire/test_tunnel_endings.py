"""Tunnels that the gateway itself ends: at shutdown, and when their key is revoked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Close, Frame, Opcode

from gateway.wire import client_socket, upstream
from gateway.wire.door import Client, Outcome
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from gateway.wire.tunnel import Tunnel
from gateway.wire.upstream import Pool
from tests.support.websocket import ASK, echo, listens, switches
from tests.support.wire import (
    Recorded,
    Served,
    client,
    relaying,
    until,
    within,
    write_until_blocked,
)
from tests.support.wire import (
    upstream as upstream_of,
)

BLOCK = b"x" * 65536
RESTARTS = b"\x88\x16\x03\xf4the gateway restarts"
ENDED = b"\x88\x12\x03\xf0access has ended"
HELLO = Frame(Opcode.TEXT, b"hello").serialize(mask=True)


def unmasked(frame: bytes) -> bytes:
    """The payload of a small masked frame."""
    return bytes(byte ^ frame[2 + at % 4] for at, byte in enumerate(frame[6:]))


@pytest.mark.behaviour(68)
async def test_shutdown_is_told_to_both_ends_by_a_close_frame() -> None:
    heard = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.exactly(len(HELLO))
        writer.write(b"\x81\x02hi")
        await reader.rest()
        heard.set()

    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        writer.write(HELLO)
        await reader.exactly(4)
        served.shut_down()

        assert await reader.rest() == RESTARTS
        await within(heard.wait())
        frame = bytes(served.raw.received[0]).partition(HELLO)[2]
        assert frame[:2] == b"\x88\x82"
        assert unmasked(frame) == b"\x03\xe9"
        assert (await served.ended()).trouble == ""


@pytest.mark.behaviour(68, 74)
@pytest.mark.parametrize(
    ("end", "told", "told_upstream"),
    [
        (Served.shut_down, Close(1012, "the gateway restarts"), 1001),
        (lambda served: served.wiring.live.close("key"), Close(1008, "access has ended"), 1001),
    ],
)
async def test_real_client_and_server_see_a_proper_close(
    end: Callable[[Served], None], told: Close, told_upstream: int
) -> None:
    codes: list[int | None] = []

    async def talk(connection: ServerConnection) -> None:
        await connection.send(await connection.recv())
        with pytest.raises(ConnectionClosed):
            await connection.recv()
        codes.append(connection.close_code)

    async with relaying(listens) as served, serve(talk, "127.0.0.1", 0) as server:
        served.door.pool = Pool("real", "127.0.0.1", server.sockets[0].getsockname()[1])
        async with connect(f"ws://127.0.0.1:{served.port}/", proxy=None) as client_end:
            await client_end.send("a" * 100_000)
            await client_end.recv()
            end(served)
            with pytest.raises(ConnectionClosed) as closed:
                await client_end.recv()

            assert closed.value.rcvd == told
            await until(lambda: codes == [told_upstream])
            await until(lambda: not served.state.connections)


async def test_revoked_tunnel_is_told_why_and_ended_on_both_sides() -> None:
    async with relaying(switches(listens)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        served.wiring.live.close("key")

        assert await reader.rest() == ENDED
        await until(lambda: not served.pool._open)
        assert (await served.ended()).trouble == "revoked"


async def test_revoked_tunnel_is_cut_in_the_middle_of_a_frame() -> None:
    async with relaying(switches(echo)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        writer.write(BLOCK)
        await reader.exactly(len(BLOCK))
        served.wiring.live.close("key")

        with pytest.raises(ConnectionResetError):
            await reader.rest()
        await until(lambda: not served.pool._open)


@pytest.mark.behaviour(72)
async def test_nothing_is_put_into_the_middle_of_a_frame() -> None:
    async with relaying(switches(echo)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        writer.write(BLOCK)
        await reader.exactly(len(BLOCK))
        served.shut_down()

        assert await reader.rest() == b""
        assert bytes(served.raw.received[0]).endswith(b"\r\n\r\n")
        await until(lambda: not served.pool._open)


async def test_only_the_direction_that_stands_between_frames_gets_a_close_frame() -> None:
    async with relaying(switches(listens)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        writer.write(HELLO[:-1])
        await until(lambda: served.connection._talk._from_client._left > 0)  # type: ignore[union-attr]
        served.shut_down()

        assert await reader.rest() == RESTARTS
        await until(lambda: bytes(served.raw.received[0]).endswith(HELLO[:-1]))


async def test_side_that_has_said_close_is_not_told_again() -> None:
    goodbye = Frame(Opcode.CLOSE, Close(1000, "").serialize()).serialize(mask=False)

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(goodbye)
        await reader.rest()

    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        await reader.exactly(len(goodbye))
        served.shut_down()

        assert await reader.rest() == b""


async def test_shutdown_lets_a_slow_client_read_what_was_said() -> None:
    blocked = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await write_until_blocked(writer)
        blocked.set()
        await reader.rest()

    async with relaying(switches(script)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        await within(blocked.wait())
        served.shut_down()
        await until(lambda: not served.pool._open)

        outcome = await served.ended()
        assert len(await reader.rest()) == outcome.bytes_out


async def test_ends_that_do_not_answer_a_close_frame_are_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_socket, "_LINGER_S", 0.01)
    monkeypatch.setattr(upstream, "_PART_S", 0.01)

    async def talks_on(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await write_until_blocked(writer)

    async with relaying(switches(talks_on)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        served.shut_down()

        await until(lambda: not served.pool._open)
        await until(lambda: not served.state.connections)


async def test_side_whose_direction_has_ended_is_told_nothing_more() -> None:
    async def half_closes(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        await reader.rest()

    async with relaying(switches(half_closes)) as served, client(served.port) as (reader, writer):
        writer.write(ASK)
        await reader.head()
        assert await reader.rest() == b""
        served.shut_down()

        await until(lambda: not served.state.connections)
        assert (await served.ended()).trouble == ""


@dataclass
class StuckClient:
    """A client that has stopped reading, at a frame's end."""

    clogged: bool = True
    said: list[str] = field(default_factory=list)

    def write(self, data: bytes) -> None:
        self.said.append("write")

    def write_end(self) -> None: ...

    def hold_reading(self, held: bool) -> None: ...

    def truncated(self, abort: bool) -> None:
        self.said.append("truncated")

    def part(self) -> None:
        self.said.append("part")


async def test_stuck_client_gets_its_time_for_what_was_said_and_no_close_frame() -> None:
    async with upstream_of(listens) as (_, pool):
        head = parse_request(ASK, HeadLimits(), Blocks())
        client_end = StuckClient()
        outcome = Outcome(head, Client("127.0.0.1", 1), 0.0)
        Tunnel(client_end, await pool.connect(), outcome).drain()

        assert client_end.said == ["truncated"]
