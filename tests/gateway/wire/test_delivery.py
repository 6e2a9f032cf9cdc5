"""Which framing a client gets for which of the upstream's, as a table."""

import pytest

from gateway.wire.delivery import answered, deliver, reason
from gateway.wire.door import Answer
from gateway.wire.framing import Chunked, Length, NoBody, UntilClose
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from gateway.wire.response_head import parse_response

NEW = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CLOSING = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
OLD_KEEPING = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
UNBOUNDED = b"HTTP/1.1 200 OK\r\n\r\n"
EMPTY = b"HTTP/1.1 204 Empty\r\n\r\n"
SAME = b"HTTP/1.1 304 Same\r\nContent-Length: 2\r\n\r\n"

TE = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
KEEP = b"Connection: keep-alive\r\n"


@pytest.mark.parametrize(
    ("request_head", "response_head", "body", "encode", "lines", "keeps", "until_close"),
    [
        (NEW, LENGTH, Length, False, b"", True, False),
        (NEW, CHUNKED, Chunked, False, TE, True, False),
        (NEW, UNBOUNDED, UntilClose, True, TE, True, False),
        (NEW, EMPTY, NoBody, False, b"", True, False),
        (NEW, SAME, NoBody, False, b"", True, False),
        (CLOSING, LENGTH, Length, False, CLOSE, False, False),
        (CLOSING, UNBOUNDED, UntilClose, True, TE + CLOSE, False, False),
        (HEAD, LENGTH, NoBody, False, b"", True, False),
        (HEAD, CHUNKED, NoBody, False, b"", True, False),
        (OLD, LENGTH, Length, False, CLOSE, False, False),
        (OLD_KEEPING, LENGTH, Length, False, KEEP, True, False),
        (OLD_KEEPING, CHUNKED, Chunked, False, CLOSE, False, True),
        (OLD_KEEPING, UNBOUNDED, UntilClose, False, CLOSE, False, True),
        (OLD_KEEPING, EMPTY, NoBody, False, KEEP, True, False),
    ],
)
def test_framing_is_the_nearest_that_the_client_can_read(
    request_head: bytes,
    response_head: bytes,
    body: type,
    encode: bool,
    lines: bytes,
    keeps: bool,
    until_close: bool,
) -> None:
    delivery = deliver(
        parse_request(request_head, HeadLimits(), Blocks()),
        parse_response(response_head),
        draining=False,
    )

    assert isinstance(delivery.body, body)
    assert (delivery.encode, delivery.lines) == (encode, lines)
    assert (delivery.keeps_client, delivery.until_close) == (keeps, until_close)


def test_draining_connection_is_told_to_close() -> None:
    delivery = deliver(
        parse_request(NEW, HeadLimits(), Blocks()), parse_response(LENGTH), draining=True
    )

    assert (delivery.lines, delivery.keeps_client) == (CLOSE, False)


def test_answer_to_an_unreadable_head_closes() -> None:
    answer = Answer(400, b"no", b"X: 1\r\n")

    assert answered(answer, None, keep=False, date=b"Date: now\r\n") == (
        b"HTTP/1.1 400 Bad Request\r\nDate: now\r\nX: 1\r\nContent-Length: 2\r\n"
        b"Connection: close\r\n\r\n",
        b"no",
    )


def test_status_without_a_phrase_has_none() -> None:
    assert (reason(200), reason(999)) == (b"OK", b"")
