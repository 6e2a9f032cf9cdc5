"""Both ends of the data plane for its tests: a raw client, a raw upstream, a server between.

The upstream records every byte it is sent and plays scripted bytes back; nothing here parses HTTP
with the code under test.
"""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn
from uvicorn.server import ServerState

from gateway.wire.connection import ClientConnection
from gateway.wire.door import Answer, Client, Decision, Failure, Outcome, Relay
from gateway.wire.request_head import RequestHead
from gateway.wire.upstream import Pool
from gateway.wire.wiring import Wiring

DEADLINE_S = 5.0
_DATE = re.compile(rb"Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n")


@dataclass
class ScriptedDoor:
    """Relays everything to one pool, or decides what `chosen` says."""

    pool: Pool | None = None
    chosen: Callable[[RequestHead], Decision] | None = None
    heads: list[RequestHead] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def decide(self, head: RequestHead, client: Client) -> Decision:
        self.heads.append(head)
        return self.chosen(head) if self.chosen else self.relay(head)

    def relay(self, head: RequestHead, **changes: Any) -> Relay:
        assert self.pool is not None
        fields: dict[str, Any] = {
            "pool": self.pool,
            "target": head.target,
            "without": frozenset(),
            "added": b"",
            "mark": b"",
            "held_under": ("key",),
            "refuse_cookie": lambda value: value.startswith(b"ours="),
            "otherwise": self._failed,
        }
        return Relay(**{**fields, **changes})

    def _failed(self, head: RequestHead, client: Client, failure: Failure) -> Decision:
        self.failures.append(failure)
        return Answer(504 if failure.kind == "timeout" else 502, failure.kind.encode())

    def refuse(self, status: int, sentence: str) -> Answer:
        return Answer(status, sentence.encode())

    def revoked(self, head: RequestHead) -> Answer:
        return Answer(409, b"revoked")

    def finished(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.ended.set()


class RawUpstream:
    """One listening socket; each connection is handed to `script(reader, writer)`."""

    def __init__(self, script: "Script") -> None:
        self._script = script
        self.port = 0
        self.connections = 0
        self.received: list[bytearray] = []
        self._running: set[asyncio.Task[Any]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        record = bytearray()
        self.received.append(record)
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                await self._script(Recorded(reader, record), writer)
        except RuntimeError:
            # uvloop's word for writing to a connection that was lost.
            if not writer.transport.is_closing():
                raise
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def aclose(self) -> None:
        for task in self._running:
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)


class Recorded:
    """A reader that remembers what it read."""

    def __init__(self, reader: asyncio.StreamReader, record: bytearray) -> None:
        self._reader = reader
        self._record = record

    async def until(self, end: bytes) -> bytes:
        data = await asyncio.wait_for(self._reader.readuntil(end), DEADLINE_S)
        self._record += data
        return data

    async def exactly(self, size: int) -> bytes:
        data = await asyncio.wait_for(self._reader.readexactly(size), DEADLINE_S)
        self._record += data
        return data

    async def rest(self) -> bytes:
        data = await asyncio.wait_for(self._reader.read(), DEADLINE_S)
        self._record += data
        return data

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")


Script = Callable[[Recorded, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def upstream(script: Script) -> AsyncIterator[tuple[RawUpstream, Pool]]:
    raw = RawUpstream(script)
    server = await asyncio.start_server(raw, "127.0.0.1", 0)
    raw.port = server.sockets[0].getsockname()[1]
    pool = Pool("scripted", "127.0.0.1", raw.port)
    try:
        yield raw, pool
    finally:
        pool.close()
        server.close()
        await raw.aclose()


@dataclass
class Served:
    """One server of the data plane, its connections' state open to the tests."""

    port: int
    door: ScriptedDoor
    wiring: Wiring
    state: ServerState
    raw: RawUpstream
    pool: Pool

    @property
    def connection(self) -> ClientConnection:
        """The only client connection there is."""
        (found,) = self.state.connections
        return cast(ClientConnection, found)

    def shut_down(self) -> None:
        """What uvicorn calls on every connection when it stops."""
        for connection in list(self.state.connections):
            connection.shutdown()

    async def ended(self) -> Outcome:
        """Wait for the next request's end; return what became of it."""
        await within(self.door.ended.wait())
        self.door.ended.clear()
        return self.door.outcomes[-1]


@asynccontextmanager
async def serving(door: ScriptedDoor, app: Any = None, **wiring: Any) -> AsyncIterator[int]:
    """Serve connections of the data plane on a free port; yield the port."""
    async with _listening(door, app, **wiring) as (port, _, _):
        yield port


@asynccontextmanager
async def relaying(script: Script, app: Any = None, **wiring: Any) -> AsyncIterator[Served]:
    """Serve everything from one scripted upstream."""
    async with upstream(script) as (raw, pool):
        door = ScriptedDoor(pool)
        async with _listening(door, app, **wiring) as (port, wired, state):
            yield Served(port, door, wired, state, raw, pool)


@asynccontextmanager
async def _listening(
    door: ScriptedDoor, app: Any, **wiring: Any
) -> AsyncIterator[tuple[int, Wiring, ServerState]]:
    wired, state = Wiring(door=door, **wiring), ServerState()
    config = uvicorn.Config(app or _no_app, ws="none", lifespan="off", log_config=None)
    config.load()
    server = await asyncio.get_running_loop().create_server(
        lambda: ClientConnection(wired, config=config, server_state=state, app_state={}),
        "127.0.0.1",
        0,
    )
    async with asyncio.TaskGroup() as beside:
        sweep = beside.create_task(wired.deadlines.run())
        try:
            yield server.sockets[0].getsockname()[1], wired, state
        finally:
            sweep.cancel()
            server.close()
            for connection in list(state.connections):
                connection.transport.abort()
            await wired.tasks.aclose()


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no application here")


@asynccontextmanager
async def client(port: int) -> AsyncIterator[tuple[Recorded, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Recorded(reader, bytearray()), writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def ask(port: int, request: bytes) -> bytes:
    """Send bytes, half-close never; read until the server closes."""
    async with client(port) as (reader, writer):
        writer.write(request)
        return await reader.rest()


def undated(answer: bytes) -> bytes:
    """Return answers of our own without their dates; each must have one."""
    found, dates = _DATE.subn(b"", answer)
    assert dates == answer.count(b"HTTP/1.1 ")
    return found


async def within(work: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(work, DEADLINE_S)


async def until(true: Callable[[], bool]) -> None:
    """Wait for what no event tells; bounded by the deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not true():  # noqa: ASYNC110  # no event tells when a peer has settled
            await asyncio.sleep(0.001)


async def write_until_blocked(writer: asyncio.StreamWriter, most: int = 200_000_000) -> int:
    """Write until nobody reads any more; return how many bytes that took."""
    written, block = 0, b"x" * 65536
    while written < most:
        writer.write(block)
        written += len(block)
        try:
            await asyncio.wait_for(writer.drain(), 0.3)
        except TimeoutError:
            return written
    raise AssertionError("nothing ever stopped the writer")


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection with RST, as a crashed peer does."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.close()


def plays(answer: bytes) -> Script:
    """A script that reads one head after another and gives each the same answer."""

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.head()
            writer.write(answer)

    return script


def plays_once(answer: bytes) -> Script:
    """A script that reads one head, answers and closes."""

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(answer)

    return script
