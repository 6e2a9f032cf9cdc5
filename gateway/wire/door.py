"""What a connection asks about each request head, and the answers it understands.

The one interface between the data plane and everything above it. A door decides synchronously; what
must be awaited comes back as a `Wait`, whose coroutine ends in another decision.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from gateway.wire.request_head import RequestHead
from gateway.wire.upstream import Pool


@dataclass(frozen=True, slots=True)
class Client:
    """The peer of a client connection."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole response of our own. `headers` are whole lines, each ended by CRLF."""

    status: int
    body: bytes
    headers: bytes = b""


@dataclass(frozen=True, slots=True)
class Local:
    """Our own application answers; `path`, if given, in place of the one that was asked for."""

    state: dict[str, Any]
    held_under: tuple[str, ...] = ()
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an upstream gave no answer; only after `unreachable` can it not have seen the request."""

    kind: Literal["unreachable", "timeout", "closed", "invalid"]
    reason: str


@dataclass(slots=True)
class Relay:
    """Pass the exchange to an upstream.

    `without` and `added` edit the head (see `RequestHead.for_upstream`); `target` takes the place
    of the one that was asked for; `mark` is a header line for the response; `refuse_cookie` says
    which of its `Set-Cookie` values must not pass; `hidden` are names of its fields that must not;
    `otherwise` is asked when no answer came; `witness` is given a small response's whole body;
    `greeting` are events put into an event stream behind its first.
    """

    pool: Pool
    without: frozenset[bytes]
    added: bytes
    mark: bytes
    held_under: tuple[str, ...]
    refuse_cookie: Callable[[bytes], bool]
    otherwise: "Callable[[RequestHead, Client, Failure], Decision]"
    target: bytes | None = None
    witness: Callable[[int, bytes], None] | None = None
    hidden: frozenset[bytes] = frozenset()
    greeting: bytes = b""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something must be awaited first; it is cancelled when the client leaves or a key is revoked.

    Should it raise, the client is answered 500.
    """

    work: "Callable[[], Awaitable[Decision]]"
    held_under: tuple[str, ...] = ()


Decision = Answer | Local | Relay | Wait


@dataclass(slots=True)
class Outcome:
    """What became of one request; sizes in bytes, times in seconds of `time.monotonic`.

    Not of the loop's clock: uvloop's stands still within an iteration and counts milliseconds.
    """

    head: RequestHead | None
    client: Client
    started: float
    status: int = 0
    mark: bytes = b""
    bytes_in: int = 0
    bytes_out: int = 0
    first_byte: float | None = None
    ended: float = 0.0
    trouble: str = ""
    upstream: str = field(default="-")


class Door(Protocol):
    def decide(self, head: RequestHead, client: Client) -> Decision: ...

    def refuse(self, status: int, sentence: str) -> Answer:
        """Put a refusal of the data plane itself into the product's error shape."""
        ...

    def revoked(self, head: RequestHead) -> Answer:
        """Say why a request that had to wait is not decided: a key it was held under is gone."""
        ...

    def finished(self, outcome: Outcome) -> None: ...
