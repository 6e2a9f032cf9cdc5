"""What a client connection and what it is busy with are to each other.

A talk is an exchange, a tunnel, or our own application; the connection knows no more of it than
this, and an exchange no more of the connection.
"""

from typing import Protocol

from gateway.wire.door import Decision
from gateway.wire.tunnel import Tunnel


class Talk(Protocol):
    def request_bytes(self, piece: bytes, done: bool) -> None: ...

    def client_writable(self, writable: bool) -> None: ...

    def client_ended(self) -> bool:
        """The client sent FIN; return whether the talk goes on all the same."""
        ...

    def abandon(self) -> None:
        """Let the other side go, without another word to this connection."""
        ...

    def revoke(self) -> None: ...

    def drain(self) -> None: ...

    def expire(self) -> None: ...


class ClientSide(Protocol):
    """What an exchange needs of the client's connection."""

    clogged: bool
    deadline: float | None
    draining: bool

    def write(self, data: bytes) -> None: ...

    def write_end(self) -> None: ...

    def hold_reading(self, held: bool) -> None: ...

    def send_body(self) -> None:
        """The upstream is ready: hand over the request's body, which there is, from here on."""
        ...

    def become(self, tunnel: Tunnel) -> None: ...

    def decide_again(self, decision: Decision) -> None: ...

    def finished(self, keep_alive: bool) -> None: ...

    def truncated(self, abort: bool) -> None:
        """The response cannot be completed: close, or reset where only that tells it."""
        ...

    def part(self) -> None: ...
