"""Where WebSocket frames end in one direction of a tunnel, so that a close frame can be put there.

Pure. It reads frame headers (RFC 6455 §5.2) as bytes pass and keeps nothing but a header that was
cut in two. It judges no message: after a header that no frame can have it knows no boundary any
more, and the bytes are somebody else's to pass on all the same.
"""

import secrets

_CLOSE = 0x8
_LONGEST_HEADER = 14
_LONGEST_CONTROL = 125
_KNOWN_OPCODES = frozenset((0x0, 0x1, 0x2, _CLOSE, 0x9, 0xA))
# First bytes of whole frames that say nothing of the connection's end: text, binary and
# continuations, compressed or not (RFC 7692 takes the next bit), pings and pongs.
_ORDINARY = frozenset(
    (0x00, 0x01, 0x02, 0x40, 0x41, 0x42, 0x80, 0x81, 0x82, 0xC0, 0xC1, 0xC2, 0x89, 0x8A)
)
# What `_left` says beside a number of payload bytes.
_IN_HEADER = -1
_LOST = -2


class Frames:
    """One direction; `masked` says that it is the client's (RFC 6455 §5.1)."""

    __slots__ = ("_closed", "_header", "_least", "_left", "_masked", "_most", "_span")

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked
        self._least, self._most = (0x80, 0xFD) if masked else (0x00, 0x7D)
        # From the second byte of a small frame to the frame's size: the mask's bit and four bytes.
        self._span = 6 - 0x80 if masked else 2
        self._left = 0
        self._header = b""
        self._closed = False

    @property
    def may_close(self) -> bool:
        """Whether a close frame may be put here: between frames, where none has passed yet."""
        return self._left == 0 and not self._closed

    def follow(self, data: bytes) -> None:
        """Take note of bytes that pass; one small whole frame is told by four comparisons."""
        size = len(data)
        if self._left >= size:
            self._left -= size
        elif not (
            self._left == 0
            and size > 1
            and self._least <= data[1] <= self._most
            and size - data[1] == self._span
            and data[0] in _ORDINARY
        ):
            self._walk(data, size)

    def _walk(self, data: bytes, size: int) -> None:
        at = 0
        while at < size and self._left != _LOST:
            if self._left > 0:
                step = min(self._left, size - at)
                self._left -= step
                at += step
            else:
                at = self._read_header(data, at)

    def _read_header(self, data: bytes, at: int) -> int:
        """Read one header, of which a part may have come before; return where its payload is."""
        held = len(self._header)
        header = self._header + data[at : at + _LONGEST_HEADER - held]
        whole = _header_size(header)
        if len(header) < whole:
            self._header, self._left = header, _IN_HEADER
            return len(data)
        self._header = b""
        self._left = self._payload_size(header)
        self._closed = self._closed or header[0] & 0xF == _CLOSE
        return at + whole - held

    def _payload_size(self, header: bytes) -> int:
        first, size = header[0], header[1] & 0x7F
        opcode = first & 0xF
        if opcode not in _KNOWN_OPCODES or (header[1] >= 0x80) is not self._masked:
            return _LOST
        # RFC 6455 §5.5: a control frame is whole and short.
        if opcode >= _CLOSE and (first < 0x80 or size > _LONGEST_CONTROL):
            return _LOST
        if size > _LONGEST_CONTROL:
            size = int.from_bytes(header[2 : 4 if size == 126 else 10])
        return size if size < 1 << 63 else _LOST


def close_frame(code: int, reason: bytes = b"", *, masked: bool = False) -> bytes:
    """Return a close frame (RFC 6455 §5.5.1); one for a server is masked, as a client's must be."""
    payload = code.to_bytes(2) + reason
    if not masked:
        return bytes((0x88, len(payload))) + payload
    mask = secrets.token_bytes(4)
    hidden = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes((0x88, 0x80 | len(payload))) + mask + hidden


def _header_size(header: bytes) -> int:
    """Return the size of the header that begins so; more than there is while that is not known."""
    if len(header) < 2:
        return 2
    length = header[1] & 0x7F
    extended = {126: 2, 127: 8}.get(length, 0)
    return 2 + extended + (4 if header[1] & 0x80 else 0)
