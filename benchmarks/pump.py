"""The least that a relay in Python on uvloop can do: bytes from one socket to another, unread.

`python -m benchmarks.pump PORT UPSTREAM`. Each client has a connection of its own to the upstream.
It knows no HTTP and no back-pressure: nobody should use it for anything but comparison.
"""

import asyncio
import sys
from functools import partial
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One side of a pair; what comes before the other side is there waits."""

    def __init__(self, other: "Side | None" = None) -> None:
        self._other = other
        self._early: list[bytes] = []
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it

    def join(self, other: "Side") -> None:
        self._other = other
        for data in self._early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self._other is None or self._other.transport is None:
            self._early.append(data)
        else:
            self._other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is not None and self._other.transport is not None:
            self._other.transport.close()


async def serve(port: int, upstream: int) -> None:
    loop = asyncio.get_running_loop()
    accepted: asyncio.Queue[Side] = asyncio.Queue()

    def accept() -> Side:
        side = Side()
        accepted.put_nowait(side)
        return side

    await loop.create_server(accept, "127.0.0.1", port, backlog=4096)
    while True:
        side = await accepted.get()
        _, far = await loop.create_connection(partial(Side, side), "127.0.0.1", upstream)
        side.join(far)


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), int(sys.argv[2])))
