"""An upgraded connection: bytes both ways until both sides have ended.

No frame is read or made, so close codes, fragments, pings and compression arrive as they were sent.
Half-closes stay half-closes; a lost side aborts the other.
"""

from typing import Protocol

from gateway.wire.door import Outcome
from gateway.wire.upstream import UpstreamConnection


class TunnelClient(Protocol):
    def write(self, data: bytes) -> None: ...

    def write_end(self) -> None: ...

    def hold_reading(self, held: bool) -> None: ...

    def truncated(self, abort: bool) -> None: ...


class Tunnel:
    def __init__(
        self, client: TunnelClient, upstream: UpstreamConnection, outcome: Outcome
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._outcome = outcome
        self._client_done = False
        self._upstream_done = False

    def request_bytes(self, piece: bytes, done: bool) -> None:
        self._outcome.bytes_in += len(piece)
        self._upstream.transport.write(piece)

    def client_writable(self, writable: bool) -> None:
        if self._upstream.transport.is_closing():
            return
        if writable:
            self._upstream.transport.resume_reading()
        else:
            self._upstream.transport.pause_reading()

    def client_ended(self) -> bool:
        self._client_done = True
        transport = self._upstream.transport
        # TLS knows no half-close; a whole one is the nearest.
        if self._upstream_done or not transport.can_write_eof():
            self._close(abort=False)
        elif not transport.is_closing():
            transport.write_eof()
        return True

    def abandon(self) -> None:
        self._upstream.abort()

    def revoke(self) -> None:
        self._outcome.trouble = "revoked"
        self._close(abort=True)

    def drain(self) -> None:
        self._close(abort=False)

    def expire(self) -> None:
        """Nothing of a tunnel has a deadline."""

    def upstream_bytes(self, data: bytes) -> None:
        self._outcome.bytes_out += len(data)
        self._client.write(data)

    def upstream_ended(self) -> None:
        self._upstream_done = True
        if self._client_done:
            self._close(abort=False)
        else:
            self._client.write_end()

    def upstream_lost(self) -> None:
        self._close(abort=not self._upstream_done)

    def upstream_writable(self, writable: bool) -> None:
        self._client.hold_reading(not writable)

    def _close(self, abort: bool) -> None:
        if abort:
            self._upstream.abort()
        else:
            self._upstream.close()
        self._client.truncated(abort=abort)
