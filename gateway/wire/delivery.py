"""How one response is framed for one client, whatever framing its upstream chose.

Pure: two heads in, a `Delivery` out; or an answer of our own in, its bytes out. It knows the
differences between HTTP/1.0 and 1.1 and the bodies that are none; it knows no socket.
"""

from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from gateway.wire import trailers
from gateway.wire.door import Answer
from gateway.wire.framing import NO_BODY, Body, Chunked, Length, UntilClose
from gateway.wire.request_head import RequestHead
from gateway.wire.response_head import ResponseHead

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_CLOSE = b"Connection: close\r\n"
_KEEP = b"Connection: keep-alive\r\n"


@dataclass(slots=True)
class Delivery:
    """`body` reads the upstream's bytes; with `encode`, each piece becomes a chunk of ours.

    `lines` are the framing and connection fields for the client. `until_close` says that only the
    connection's end tells the client where the body ends, so that truncation needs a reset.
    """

    body: Body
    encode: bool
    lines: bytes
    keeps_client: bool
    until_close: bool


def deliver(
    request: RequestHead,
    response: ResponseHead,
    *,
    draining: bool,
    hidden: frozenset[bytes] = frozenset(),
) -> Delivery:
    """Choose the framing: as it came where the client can read it, else the nearest it can.

    `hidden` are names of fields that pass neither before nor behind the body.
    """
    old_client = request.minor == 0
    body = _reader(request, response, old_client)
    announced = b""
    if isinstance(body, Chunked) and request.fields.takes_trailers:
        body = Chunked(passes=partial(trailers.passes, hidden=hidden))
        announced = trailers.announcement(response.noted(b"trailer"), hidden)
    unbounded = isinstance(body, UntilClose) or (old_client and isinstance(body, Chunked))
    encode = unbounded and not old_client
    keeps = request.keep_alive and not draining and (encode or not unbounded)
    chunked = encode or (isinstance(body, Chunked) and not old_client)
    lines = (_CHUNKED if chunked else b"") + announced + connection_line(request, keeps=keeps)
    return Delivery(body, encode, lines, keeps, unbounded and old_client)


def connection_line(request: RequestHead | None, *, keeps: bool) -> bytes:
    """Return the line that says whether the connection stays; only what a client cannot infer."""
    if not keeps:
        return _CLOSE
    return _KEEP if request is not None and request.minor == 0 else b""


def answered(
    answer: Answer, request: RequestHead | None, *, keep: bool, date: bytes
) -> tuple[bytes, bytes]:
    """Return head and body of an answer of our own; `request` is None where it was unreadable.

    `date` is the line that says when it was made.
    """
    head = b"HTTP/1.1 %d %b\r\n%b%bContent-Length: %d\r\n%b\r\n" % (
        answer.status,
        reason(answer.status),
        date,
        answer.headers,
        len(answer.body),
        connection_line(request, keeps=keep),
    )
    return head, b"" if request is not None and request.method == b"HEAD" else answer.body


def reason(status: int) -> bytes:
    """Return the standard phrase of a status, or nothing for one without."""
    return _PHRASES.get(status, b"")


def _reader(request: RequestHead, response: ResponseHead, old_client: bool) -> Body:
    if response.bodyless(request.method):
        return NO_BODY
    if response.chunked:
        return Chunked(decode=old_client)
    return Length(response.length) if response.length is not None else UntilClose()
