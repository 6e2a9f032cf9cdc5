"""Where something of ours may be put into an event stream that passes: between whole events, and
between whole chunks.

Pure. It keeps the last few bytes that passed and nothing else; where it can't be sure, it says no.
It knows where events end, and nothing of what they say.
"""

from gateway.wire.delivery import Delivery
from gateway.wire.framing import Chunked, Length
from gateway.wire.response_head import ResponseHead

# An event's empty line and its chunk's end. The other begins with the end of a chunk's size, whose
# only byte may end a line that is not empty.
_WHOLE = b"\n\n\r\n"
_SIZE_BEFORE = b"\r\n\n\r\n"
_TAIL = len(_SIZE_BEFORE)


class Seam:
    """One stream on its way to one client; `waiting` is put in as soon as an event has passed."""

    __slots__ = ("_as_sent", "_body", "_chunks", "_tail", "waiting")

    def __init__(self, delivery: Delivery, waiting: bytes) -> None:
        self._body = delivery.body
        # Pieces of a chunked body that is not decoded hold the sender's chunk lines.
        self._as_sent = isinstance(delivery.body, Chunked) and not delivery.body.decodes
        self._chunks = delivery.encode or self._as_sent
        self._tail = b""
        self.waiting = waiting

    def see(self, piece: bytes) -> None:
        """Take note of a piece as the body's reader passed it on."""
        self._tail = piece[-_TAIL:] if len(piece) >= _TAIL else (self._tail + piece)[-_TAIL:]

    @property
    def is_open(self) -> bool:
        """Whether an event may be put behind what has passed so far."""
        if self._body.done:
            return False
        if not self._as_sent:
            return not self._tail or self._tail.endswith(b"\n\n")
        assert isinstance(self._body, Chunked)
        if not self._body.between_chunks:
            return False
        whole = self._tail.endswith(_WHOLE) and not self._tail.endswith(_SIZE_BEFORE)
        return whole or not self._tail

    @property
    def is_due(self) -> bool:
        """Whether what waits may go now: not before the server has said its first word."""
        return bool(self.waiting and self._tail) and self.is_open

    def framed(self, events: bytes) -> bytes:
        return b"%x\r\n%b\r\n" % (len(events), events) if self._chunks else events

    def take_waiting(self) -> bytes:
        events, self.waiting = self.waiting, b""
        return events


def seam_of(response: ResponseHead, delivery: Delivery, waiting: bytes) -> Seam | None:
    """Return the seam of an event stream whose bytes are to be read as they are."""
    plain = not any(line.name == b"content-encoding" for line in response.lines)
    endless = not isinstance(delivery.body, Length) and not delivery.body.done
    return Seam(delivery, waiting) if is_event_stream(response) and plain and endless else None


def is_event_stream(response: ResponseHead) -> bool:
    return any(b"text/event-stream" in kind.lower() for kind in response.noted(b"content-type"))
