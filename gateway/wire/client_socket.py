"""A client's socket: what may be read and written now, what came too early, and how it closes.

The lower half of a client connection. It knows bytes and deadlines; heads, decisions and exchanges
are the upper half's (`connection`).
"""

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from gateway.wire.deadlines import Deadlines
from gateway.wire.departures import has_left

_LINGER_S = 2.0
# How long a client may take over the last bytes in our buffers, once nothing follows them.
_FLUSH_S = 60.0
_WITH_RESET = struct.pack("ii", 1, 0)


class ClientSocket(asyncio.Protocol):
    """`on_bytes` takes what is read next; `clogged` says that the client reads too slowly."""

    transport: asyncio.Transport

    def __init__(
        self, deadlines: Deadlines, loop: asyncio.AbstractEventLoop, early_bytes: int
    ) -> None:
        self.deadline: float | None = None
        self.clogged = False
        self._deadlines = deadlines
        self._loop = loop
        self._early = b""
        self._early_bytes = early_bytes
        self._holding = False
        self._lost = False
        self._may_half_close = False
        self._on_bytes: Callable[[bytes], None] = self._keep_bytes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._deadlines.watch(self)

    def data_received(self, data: bytes) -> None:
        self._on_bytes(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._deadlines.unwatch(self)
        self._deadlines.look_away(self)

    def pause_writing(self) -> None:
        self.clogged = True

    def resume_writing(self) -> None:
        self.clogged = False

    def write(self, data: bytes) -> None:
        if not self._lost:
            self.transport.write(data)

    def write_end(self) -> None:
        if not self._lost and not self.transport.is_closing():
            # Asyncio's own loop raises where the client has gone and that is not told yet.
            with suppress(OSError):
                self.transport.write_eof()

    def hold_reading(self, held: bool) -> None:
        if held is self._holding or self._lost or self.transport.is_closing():
            return
        self._holding = held
        if held:
            self.transport.pause_reading()
            self._deadlines.look_after(self)
        else:
            self.transport.resume_reading()
            self._deadlines.look_away(self)

    def look(self) -> None:
        connection = self.transport.get_extra_info("socket")
        if self.transport.is_closing() or connection is None:
            return
        if has_left(connection, half_is_enough=not self._may_half_close):
            self.transport.abort()

    def expire(self) -> None:
        """The deadline has passed: give up waiting for this client."""
        if self._on_bytes == self._drop_bytes or self.transport.is_closing():
            self.transport.abort()
        else:
            self._close()

    def _keep_bytes(self, data: bytes) -> None:
        """Keep what came before its time, up to a bound; beyond it the sender waits."""
        self._early += data
        if len(self._early) > self._early_bytes:
            self.hold_reading(True)

    def _take_early(self) -> bytes:
        early, self._early = self._early, b""
        return early

    def _drop_bytes(self, data: bytes) -> None:
        """Drop what the client still sends: closing now would reset our answer away."""

    def _linger(self) -> None:
        """End our side and read on for a moment (RFC 9112 §9.6), so that the answer arrives."""
        self._on_bytes = self._drop_bytes
        self._early = b""
        self.hold_reading(False)
        self.write_end()
        self.deadline = self._loop.time() + _LINGER_S

    def _close(self) -> None:
        """Close once the client has read what is written, or has had the time to."""
        self.deadline = self._loop.time() + _FLUSH_S
        self.transport.close()

    def _hurry(self) -> None:
        """Whatever the client may still take its time for, let it be no longer than a farewell."""
        if self.deadline is not None:
            self.deadline = min(self.deadline, self._loop.time() + _LINGER_S)

    def _reset(self) -> None:
        """Close by RST: a mere end would be taken for the end of what was being sent."""
        connection = self.transport.get_extra_info("socket")
        if connection is not None and not self.transport.is_closing():
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _WITH_RESET)
        self.transport.abort()
