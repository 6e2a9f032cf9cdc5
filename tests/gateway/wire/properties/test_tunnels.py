"""Any bytes through a tunnel, both ways, in any pieces, arrive as they were sent."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.wire.properties.effort import ON_SOCKETS
from tests.gateway.wire.properties.left import nothing_left
from tests.support.websocket import ASK, SWITCH
from tests.support.wire import Recorded, Served, client, relaying

# A frame of each sort, and what is none; the last one fills every buffer on its way.
PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([b"\x81\x05hello", b"\x82\xfe\x00\x80abcd", b"\x88\x02\x03\xe8", b"\x89\x00"]),
    st.just(b"\x82\x7f" + b"\xff" * 300_000),
)
# Who does it, and what: send a piece, or None for the end of what that side sends.
DEEDS = st.lists(
    st.tuples(st.sampled_from(["client", "upstream"]), st.one_of(PIECES, PIECES, st.none())),
    max_size=12,
)


@dataclass
class End:
    """One end of a tunnel: sends what it is told, and counts what the other must get."""

    reader: Recorded
    writer: asyncio.StreamWriter
    sent: bytes = b""
    ended: bool = False

    def send(self, piece: bytes | None) -> None:
        if self.ended:
            return
        if piece is None:
            self.ended = True
            self.writer.write_eof()
        else:
            self.sent += piece
            self.writer.write(piece)


@dataclass
class Switchboard:
    """An upstream that accepts each handshake and hands its end over."""

    served: Served = field(init=False)
    early: bytes = b""
    ends: asyncio.Queue[tuple[End, asyncio.Event]] = field(default_factory=asyncio.Queue)

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(SWITCH + self.early)
        done = asyncio.Event()
        self.ends.put_nowait((End(reader, writer, self.early), done))
        await done.wait()


@pytest.fixture
async def switchboard() -> AsyncIterator[Switchboard]:
    board = Switchboard()
    async with relaying(board) as board.served:
        yield board


@pytest.mark.behaviour(72, 74)
@ON_SOCKETS
@given(deeds=DEEDS, early=st.tuples(st.binary(max_size=5), st.binary(max_size=5)))
async def test_any_bytes_arrive_with_half_closes_at_any_point(
    switchboard: Switchboard,
    deeds: list[tuple[str, bytes | None]],
    early: tuple[bytes, bytes],
) -> None:
    switchboard.early = early[1]
    async with client(switchboard.served.port) as (reader, writer), asyncio.TaskGroup() as both:
        writer.write(ASK + early[0])
        assert await reader.head() == SWITCH
        far, done = await switchboard.ends.get()
        near = End(reader, writer, early[0])
        to_far = both.create_task(far.reader.rest())
        to_near = both.create_task(near.reader.rest())
        for who, piece in [*deeds, ("client", None), ("upstream", None)]:
            (near if who == "client" else far).send(piece)
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        assert (await to_far, await to_near) == (near.sent, far.sent)
        done.set()
    await nothing_left(switchboard.served)
