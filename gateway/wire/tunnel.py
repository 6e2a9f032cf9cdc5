"""An upgraded connection: bytes both ways until both sides have ended.

Bytes pass as they are, so close codes, fragments, pings and compression arrive as they were sent.
Half-closes stay half-closes; a lost side aborts the other. Where the gateway itself ends a tunnel,
it says so to both ends by a WebSocket close frame, if one can stand where the bytes have come to.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.wire.door import Outcome
from gateway.wire.upstream import UpstreamConnection
from gateway.wire.websocket_frames import Frames, close_frame

# RFC 6455 §7.4.1 and its registry of close codes.
_GOING_AWAY = 1001
_POLICY_VIOLATION = 1008
_SERVICE_RESTART = 1012


class TunnelClient(Protocol):
    clogged: bool

    def write(self, data: bytes) -> None: ...

    def write_end(self) -> None: ...

    def hold_reading(self, held: bool) -> None: ...

    def truncated(self, abort: bool) -> None: ...

    def part(self) -> None:
        """Nothing follows what was written: have it read, then close."""
        ...


class Tunnel:
    __slots__ = (
        "_client",
        "_client_done",
        "_counted",
        "_from_client",
        "_from_upstream",
        "_to_client",
        "_to_upstream",
        "_upstream",
        "_upstream_done",
        "outcome",
    )

    def __init__(
        self, client: TunnelClient, upstream: UpstreamConnection, outcome: Outcome
    ) -> None:
        self._client = client
        self._upstream = upstream
        self.outcome = outcome
        self._counted = 0
        self._client_done = False
        self._upstream_done = False
        self._from_client = Frames(masked=True)
        self._from_upstream = Frames(masked=False)
        # A message costs little more than two calls of these: look them up once.
        self._to_client = client.write
        self._to_upstream: Callable[[bytes], None] = upstream.transport.write

    def request_bytes(self, piece: bytes, done: bool = False) -> None:
        self._from_client.follow(piece)
        self.outcome.bytes_in += len(piece)
        self._to_upstream(piece)

    def has_moved(self) -> bool:
        """Whether bytes have passed since this was last asked, pings and pongs included."""
        before, self._counted = self._counted, self.outcome.bytes_in + self.outcome.bytes_out
        return self._counted != before

    def tell_of_next_bytes(self, told: Callable[[], None]) -> None:
        """Call `told` once, when the client next sends something; it is passed on all the same."""

        def pass_on(piece: bytes) -> None:
            self._to_upstream = self._upstream.transport.write
            self._to_upstream(piece)
            told()

        self._to_upstream = pass_on

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
        self.outcome.trouble = "revoked"
        self._part(_POLICY_VIOLATION, b"access has ended", otherwise_abort=True)

    def drain(self) -> None:
        self._part(_SERVICE_RESTART, b"the gateway restarts", otherwise_abort=False)

    def expire(self) -> None:
        """Nothing of a tunnel has a deadline."""

    def upstream_bytes(self, data: bytes) -> None:
        self._from_upstream.follow(data)
        self.outcome.bytes_out += len(data)
        self._to_client(data)

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

    def _part(self, code: int, reason: bytes, *, otherwise_abort: bool) -> None:
        """End both sides, each by a close frame where one can stand and would be read."""
        self._part_upstream(abort=otherwise_abort)
        listens = not self._upstream_done and not self._client.clogged
        if listens and self._from_upstream.may_close:
            self._client.write(close_frame(code, reason))
            self._client.part()
        else:
            self._client.truncated(abort=otherwise_abort)

    def _part_upstream(self, *, abort: bool) -> None:
        transport = self._upstream.transport
        stuck = self._client_done or transport.is_closing() or transport.get_write_buffer_size()
        if self._from_client.may_close and not stuck:
            self._upstream.part(close_frame(_GOING_AWAY, masked=True))
        elif abort:
            self._upstream.abort()
        else:
            self._upstream.close()

    def _close(self, abort: bool) -> None:
        if abort:
            self._upstream.abort()
        else:
            self._upstream.close()
        self._client.truncated(abort=abort)
