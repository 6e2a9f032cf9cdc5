"""Both ends of the data plane for its tests: a raw client, a raw upstream, a server between.

The upstream records every byte it is sent and plays scripted bytes back; nothing here parses HTTP
with the code under test.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn

from gateway.wire.connection import ClientConnection, Wiring
from gateway.wire.door import Answer, Client, Decision, Failure, Local, Outcome, Relay
from gateway.wire.head import RequestHead
from gateway.wire.upstream import Pool

DEADLINE_S = 5.0


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

    def _failed(self, failure: Failure) -> Decision:
        self.failures.append(failure)
        return Answer(504 if failure.kind == "timeout" else 502, failure.kind.encode())

    def refuse(self, status: int, sentence: str) -> Answer:
        return Answer(status, sentence.encode())

    def finished(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.ended.set()


class RawUpstream:
    """One listening socket; each connection is handed to `script(reader, writer)`."""

    def __init__(self, script: "Script") -> None:
        self._script = script
        self.connections = 0
        self.received: list[bytearray] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        record = bytearray()
        self.received.append(record)
        try:
            await self._script(Recorded(reader, record), writer)
        finally:
            writer.close()


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
    port = server.sockets[0].getsockname()[1]
    pool = Pool("scripted", "127.0.0.1", port)
    try:
        yield raw, pool
    finally:
        pool.close()
        server.close()


@asynccontextmanager
async def serving(door: ScriptedDoor, app: Any = None, **wiring: Any) -> AsyncIterator[int]:
    """Serve connections of the data plane on a free port; yield the port."""
    wired = Wiring(door=door, **wiring)

    class Wired(ClientConnection):
        def __init__(self, **server: Any) -> None:
            super().__init__(wired, **server)

    config = uvicorn.Config(
        app or _no_app, host="127.0.0.1", port=0, http=Wired, ws="none", lifespan="off",
        log_config=None, timeout_graceful_shutdown=1,
    )  # fmt: skip
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    async with asyncio.TaskGroup() as beside:
        sweep = beside.create_task(wired.deadlines.run())
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            sweep.cancel()
            for connection in list(server.server_state.connections):
                connection.transport.abort()
            await wired.tasks.aclose()
            await server.shutdown()


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("no application here")


@asynccontextmanager
async def client(port: int) -> AsyncIterator[tuple[Recorded, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Recorded(reader, bytearray()), writer
    finally:
        writer.close()


async def ask(port: int, request: bytes) -> bytes:
    """Send bytes, half-close never; read until the server closes."""
    async with client(port) as (reader, writer):
        writer.write(request)
        return await reader.rest()


__all__ = [
    "Local",
    "RawUpstream",
    "Recorded",
    "ScriptedDoor",
    "ask",
    "client",
    "serving",
    "upstream",
]
