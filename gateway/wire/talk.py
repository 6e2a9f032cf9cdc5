"""What a client connection is busy with: an exchange, a tunnel, or our own application.

The one shape that all three have towards the connection. It knows none of them.
"""

from typing import Protocol


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
