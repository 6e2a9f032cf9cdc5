"""Collecting a request head from the pieces that a socket gives, within its limits.

Pure. It looks for a head's end and at its size; what a head may be is `request_head`'s.
"""

import re

from gateway.wire.fields import BadHead
from gateway.wire.request_head import HeadLimits

_EMPTY_LINES = re.compile(rb"\A(?:\r\n)++")


class HeadBuffer:
    """Collects the bytes of a request head, within `limits`, until it is whole."""

    __slots__ = ("_limits", "held")

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self.held = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Return (a whole head, what follows it), or None while it is not whole."""
        if self.held:
            data, self.held = self.held + data, b""
        # RFC 9112 §2.2: an empty line before the request line is to be ignored. So is every
        # further one: how many a single read brings is chance.
        if data.startswith(b"\r\n"):
            data = _EMPTY_LINES.sub(b"", data, 1)
        end = data.find(b"\r\n\r\n") + 4
        if 3 < end == len(data) <= self._limits.head_bytes:
            return data, b""
        if end > self._limits.head_bytes or len(data) > self._limits.head_bytes > end == 3:
            raise BadHead(*_too_long(data, self._limits.head_bytes))
        if end > 3:
            return data[:end], data[end:]
        if b"\n\n" in data:
            return data, b""  # lines ended by a bare LF: whole, and refused when parsed
        self.held = data
        return None

    def clear(self) -> None:
        self.held = b""


def _too_long(data: bytes, most: int) -> tuple[int, str]:
    if b"\r\n" not in data[:most]:
        return 414, f"The request line is too long: a head has at most {most} bytes."
    return 431, f"The request head is too long: at most {most} bytes."
