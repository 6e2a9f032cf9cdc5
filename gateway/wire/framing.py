"""Where a message body ends, and which of its bytes travel on.

Pure readers, fed with what a socket gave. Bytes pass as they came: a chunked body stays chunked
with the sender's chunk boundaries; only chunk extensions are taken out, since no two parsers agree
on them, and trailers that nobody asked for. Nothing here knows a socket.
"""

import re
import sys
from collections.abc import Callable
from typing import Protocol

from gateway.wire.fields import LINE
from gateway.wire.request_head import RequestHead

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_LONGEST_LINE = 4096
_LONGEST_TRAILERS = 16 * 1024


class BadFraming(Exception):
    """The sender broke the body's grammar; what was passed on so far must not be completed.

    `status` is what a client is told, where it was the client and can still be told.
    """

    status = 400


class BodyTooLarge(BadFraming):
    """More has been announced than is passed on."""

    status = 413
    sentence = "The request's body is larger than this gateway passes on."


class Body(Protocol):
    """`done` is true once the last byte was seen."""

    done: bool

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Return (what to pass on, what lies behind the body's end)."""
        ...


class NoBody:
    done = True

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return b"", data


NO_BODY = NoBody()


class Length:
    """A body of `Content-Length` bytes."""

    __slots__ = ("_left", "done")

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = length == 0

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        if len(data) < self._left:
            self._left -= len(data)
            return data, b""
        piece, rest = data[: self._left], data[self._left :]
        self._left, self.done = 0, True
        return piece, rest


class UntilClose:
    """A response body that ends with its connection (RFC 9112 §6.3, rule 8)."""

    done = False

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        return data, b""


class Chunked:
    """A chunked body (RFC 9112 §7.1); with `decode`, only the payload is passed on.

    A line is held back until it is whole and valid: no half of a bad chunk size reaches the peer.
    `passes` says by its name which trailer travels on; without it none does. A chunk with which
    the payload has more than `most` bytes is refused as soon as its size is read.
    """

    __slots__ = (
        "_held", "_kept", "_left", "_passes", "_room", "_state", "_trailers", "decodes", "done",
    )  # fmt: skip

    def __init__(
        self,
        *,
        decode: bool = False,
        passes: Callable[[bytes], bool] | None = None,
        most: int = sys.maxsize,
    ) -> None:
        self.done = False
        self._room = most
        self.decodes = decode
        self._passes = passes
        self._held = b""
        self._kept = b""
        self._left = 0
        self._trailers = 0
        # Plain functions: a bound method would make the body a cycle, which only the garbage
        # collector takes away.
        self._state: Callable[[Chunked, bytes, int, list[bytes]], int] = Chunked._size

    @property
    def between_chunks(self) -> bool:
        """Whether all that was passed on ends with a whole chunk, and not yet with the last."""
        return self._state is Chunked._size

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        if self._held:
            data, self._held = self._held + data, b""
        pieces: list[bytes] = []
        at = 0
        while not self.done and at < len(data):
            after = self._state(self, data, at, pieces)
            if after < 0:
                self._held = data[at:]
                return b"".join(pieces), b""
            at = after
        rest = data[at:] if self.done else b""
        return (pieces[0] if len(pieces) == 1 else b"".join(pieces)), rest

    def _size(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        end = _line_end(data, at)
        if end < 0:
            return -1
        match = _SIZE.fullmatch(data, at, end)
        if match is None:
            raise BadFraming("A chunk's size is not a hexadecimal number.")
        self._left = int(match[1], 16)
        self._room -= self._left
        if self._room < 0:
            raise BodyTooLarge(BodyTooLarge.sentence)
        if self._left == 0:
            self._state = Chunked._trailer
        else:
            self._state = Chunked._payload
            if not self.decodes:
                pieces.append(match[1] + b"\r\n")
        return end + 2

    def _payload(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        end = min(at + self._left, len(data))
        pieces.append(data[at:end])
        self._left -= end - at
        if self._left == 0:
            self._state = Chunked._payload_end
        return end

    def _payload_end(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        if len(data) - at < 2:
            if data[at : at + 1] != b"\r":
                raise BadFraming("A chunk is longer than its size.")
            return -1
        if data[at : at + 2] != b"\r\n":
            raise BadFraming("A chunk is longer than its size.")
        self._state = Chunked._size
        if not self.decodes:
            pieces.append(b"\r\n")
        return at + 2

    def _trailer(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Keep a trailer back until all have come, so that none arrives of a body that breaks."""
        end = _line_end(data, at)
        if end < 0:
            return -1
        self._trailers += end - at
        if self._trailers > _LONGEST_TRAILERS:
            raise BadFraming("The trailers are too long.")
        if end > at:
            match = LINE.fullmatch(data, at, end)
            if match is None:
                raise BadFraming("A trailer is not a header field.")
            if self._passes is not None and self._passes(match[1]):
                self._kept += data[at : end + 2]
            return end + 2
        self.done = True
        if not self.decodes:
            pieces.append(b"0\r\n%b\r\n" % self._kept)
        return end + 2


def request_body(head: RequestHead, *, decode: bool, most: int = sys.maxsize) -> Body:
    """Return the reader of a request's body, which passes no trailer on (RFC 9110 §6.5.1).

    The servers behind us may merge them into headers that we have judged without them.
    """
    if head.chunked:
        return Chunked(decode=decode, most=most)
    return Length(head.length) if head.length else NO_BODY


def _line_end(data: bytes, at: int) -> int:
    """Return where the line's CRLF stands, or -1 while it has not come."""
    end = data.find(b"\r\n", at, at + _LONGEST_LINE + 2)
    if end < 0 and (len(data) - at > _LONGEST_LINE or b"\n" in data[at:]):
        raise BadFraming("A line in a chunked body is too long or not ended by CRLF.")
    return end
