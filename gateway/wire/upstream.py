"""Connections to one upstream, and the pool that keeps the idle ones.

A pool belongs to one container of one generation, never to an address: the next container may get
the same address (a pooled connection would then carry one person's bytes to another's). It knows
no request; whoever takes a connection gives it back or aborts it.
"""

import asyncio
import os
from contextlib import suppress
from time import monotonic
from typing import Protocol, cast

_MOST_IDLE = 64
_IDLE_S = 30.0
_CONNECT_S = 5.0
# How long an upstream may take to read our last words and to end its own side.
_PART_S = 2.0
# More than any refusal takes; what is read here has no back-pressure.
_LAST_WORDS = 64 * 1024


class Receiver(Protocol):
    """The exchange that a connection currently serves."""

    def upstream_bytes(self, data: bytes) -> None: ...

    def upstream_ended(self) -> None:
        """The upstream sent its last byte (FIN); it may still read."""
        ...

    def upstream_lost(self) -> None: ...

    def upstream_writable(self, writable: bool) -> None: ...


class UpstreamConnection(asyncio.Protocol):
    __slots__ = ("_parting", "idle_since", "pool", "receiver", "transport", "used")

    transport: asyncio.Transport

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.used = False
        self.idle_since = 0.0
        self._parting = False
        self.receiver: Receiver | None = None

    def serve(self, receiver: Receiver) -> None:
        self.receiver = receiver

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self.receiver is not None:
            self.receiver.upstream_bytes(data)
        elif not self._parting:
            # Nobody asked: it would be read as the answer to the next request (RFC 9112 §6.3).
            self.abort()

    def eof_received(self) -> bool:
        if self.receiver is None:
            return False
        self.receiver.upstream_ended()
        return self.transport.can_write_eof()  # TLS knows no half-close

    def connection_lost(self, exc: Exception | None) -> None:
        self.pool.lost(self)
        if self.receiver is not None and isinstance(exc, ConnectionError):
            self._hear_out(self.receiver)
        receiver, self.receiver = self.receiver, None
        if receiver is not None:
            receiver.upstream_lost()

    def _hear_out(self, receiver: Receiver) -> None:
        """Read what the upstream answered before it closed on a request that it had not read.

        The write that then fails is noticed before the answer is read: a 413 was lost in 13 of
        100 large uploads, 99 on asyncio's own loop. Both loops close the socket after this call.
        """
        if self.transport.get_extra_info("ssl_object") is not None:
            return
        with suppress(OSError):
            said = os.read(self.transport.get_extra_info("socket").fileno(), _LAST_WORDS)
            if said:
                receiver.upstream_bytes(said)

    def pause_writing(self) -> None:
        if self.receiver is not None:
            self.receiver.upstream_writable(False)

    def resume_writing(self) -> None:
        if self.receiver is not None:
            self.receiver.upstream_writable(True)

    def give_back(self) -> None:
        """Offer the connection to the next exchange; its last one was read to its end."""
        self.receiver = None
        self.used = True
        self.pool.returned(self)

    def close(self) -> None:
        """End it after what was written; nobody is told any more."""
        self.receiver = None
        self.transport.close()

    def part(self, last: bytes) -> None:
        """Say a last thing, end our side and read on for a moment, so that it arrives."""
        self.receiver = None
        self._parting = True
        self.transport.write(last)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.resume_reading()
        asyncio.get_running_loop().call_later(_PART_S, self.transport.abort)

    def abort(self) -> None:
        self.receiver = None
        self.transport.abort()


class Pool:
    """`name` is for logs; `host` and `port` are where to connect, in `tls` or plainly."""

    def __init__(self, name: str, host: str, port: int, *, tls: bool = False) -> None:
        self.name = name
        self._host = host
        self._port = port
        self._tls = tls
        self._idle: list[UpstreamConnection] = []
        self._open: set[UpstreamConnection] = set()
        self.closed = False

    def take(self) -> UpstreamConnection | None:
        """Return an idle connection, the one used last first, or None."""
        now = monotonic()
        while self._idle:
            connection = self._idle.pop()
            if now - connection.idle_since < _IDLE_S and not connection.transport.is_closing():
                return connection
            connection.abort()
        return None

    async def connect(self) -> UpstreamConnection:
        """Open a connection; `OSError` (`TimeoutError` included) where there is no way."""
        if self.closed:
            raise ConnectionRefusedError(f"{self.name} is gone")
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_CONNECT_S):
            _, connection = await loop.create_connection(
                lambda: UpstreamConnection(self), self._host, self._port, ssl=self._tls or None
            )
        if self.closed or connection.transport.is_closing():
            connection.abort()
            raise ConnectionAbortedError(f"{self.name} went while it was being connected to")
        # Not when it is made: uvloop does not tell of the loss of one whose making was cancelled.
        self._open.add(connection)
        return connection

    def receivers(self) -> list[Receiver]:
        """Return what the connections in use are busy with."""
        return [c.receiver for c in self._open if c.receiver is not None]

    def lost(self, connection: UpstreamConnection) -> None:
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def returned(self, connection: UpstreamConnection) -> None:
        transport = connection.transport
        if (
            self.closed
            or len(self._idle) >= _MOST_IDLE
            or transport.is_closing()
            or transport.get_write_buffer_size()  # its answer came before it had read the request
        ):
            connection.abort()
            return
        transport.resume_reading()
        connection.idle_since = monotonic()
        self._idle.append(connection)

    def close(self) -> None:
        """End every connection, those in use as well: their exchanges see the upstream go."""
        self.closed = True
        for connection in list(self._open):
            connection.transport.abort()
