"""A copy of a small response's body, for somebody who must read it in passing.

It keeps at most so many bytes; of a longer body nothing is told. It knows framing and no meaning.
"""

from collections.abc import Callable

from gateway.wire.framing import Chunked

_MOST_BYTES = 64 * 1024


class Witness:
    """`chunked` says that the pieces are chunks as they came, not payload."""

    __slots__ = ("_chunked", "_pieces", "_room", "_tell")

    def __init__(self, tell: Callable[[int, bytes], None], *, chunked: bool) -> None:
        self._tell = tell
        self._chunked = chunked
        self._room = _MOST_BYTES
        self._pieces: list[bytes] = []

    def see(self, piece: bytes) -> None:
        self._room -= len(piece)
        if self._room >= 0:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def tell(self, status: int) -> None:
        """The body is complete: hand it over, unless it was too long."""
        if self._room < 0:
            return
        body = b"".join(self._pieces)
        if self._chunked:
            body, _ = Chunked(decode=True).feed(body)
        self._tell(status, body)
