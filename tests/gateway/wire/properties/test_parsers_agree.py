"""Whatever head the rules let pass, every other parser reads it as the one message that it is.

A second reading of the same bytes is how requests are smuggled (RFC 9112 §11.2). Behind each
message stands another one: it must be found where it begins.
"""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.wire.delivery import deliver
from gateway.wire.fields import BadHead
from gateway.wire.head_buffer import HeadBuffer
from gateway.wire.request_head import Blocks, HeadLimits, RequestHead, parse_request
from gateway.wire.response_head import ResponseHead, parse_response
from tests.gateway.wire.properties import heads, parsers
from tests.gateway.wire.properties.effort import PURE
from tests.gateway.wire.properties.parsers import (
    REQUEST_READERS,
    RESPONSE_READERS,
    Message,
    Refused,
)

LIMITS = HeadLimits()
LONGEST = 1000
NOTHING: frozenset[bytes] = frozenset()
ADDED = b"X-Forwarded-For: 192.0.2.1\r\n"
NEXT_REQUEST = b"GET /next HTTP/1.1\r\nHost: next\r\n\r\n"
NEXT_RESPONSE = b"HTTP/1.1 299 Next\r\nContent-Length: 0\r\n\r\n"


def split(head: bytes, body: bytes) -> Message:
    """The naive reading: lines, each cut at its first colon."""
    first, *lines = head[:-4].split(b"\r\n")
    words = first.split(b" ", 2)
    known = words[1:] if first.startswith(b"HTTP/") else words[:2]
    fields = [tuple(line.split(b":", 1)) for line in lines]
    return parsers.message((known[0], known[1]), fields, body)


def passed(sent: bytes) -> tuple[bytes, RequestHead] | None:
    """What the gateway takes out of these bytes, if it takes anything."""
    try:
        whole = HeadBuffer(LIMITS).feed(sent)
        head = parse_request(whole[0], LIMITS, Blocks()) if whole else None
    except BadHead:
        return None
    return (whole[0], head) if whole and head and (head.length or 0) <= LONGEST else None


def answered(sent: bytes) -> ResponseHead | None:
    try:
        head = parse_response(sent[: sent.find(b"\r\n\r\n") + 4])
    except BadHead:
        return None
    return head if (head.length or 0) <= LONGEST else None


# Should the rules come to refuse nearly all that is drawn, hypothesis says so.
requests = heads.requests().map(passed).filter(bool)
finals = heads.responses().map(answered).filter(lambda head: head and head.status >= 200)
interims = heads.interims().map(answered).filter(lambda head: head and head.interim)
Taken = tuple[bytes, RequestHead]


def framed(chunked: bool, length: int | None) -> tuple[bytes, bytes]:
    """A body as the head announces it: (on the wire, what it means)."""
    if chunked:
        return b"3\r\nabc\r\n0\r\n\r\n", b"abc"
    return b"x" * (length or 0), b"x" * (length or 0)


def read_by_all(sent: bytes, expected: list[Message], head: RequestHead) -> None:
    """Every parser reads the same messages; one that refuses them has a known reason to."""
    for reader in REQUEST_READERS:
        try:
            found = reader.parse(sent)
        except Refused:
            assert reader.may_refuse(head.method, sent.split(b" ", 2)[1]), reader
        else:
            assert found == expected, reader


@pytest.mark.behaviour(22, 23, 24, 27, 28)
@PURE
@given(taken=requests)
def test_a_request_that_is_sent_on_is_read_as_one_by_every_parser(taken: Taken) -> None:
    _, head = taken
    on = head.for_upstream(head.target, NOTHING, ADDED)
    wire, body = framed(head.chunked, head.length)

    read_by_all(on + wire + NEXT_REQUEST, [split(on, body), split(NEXT_REQUEST, b"")], head)


@PURE
@given(taken=requests)
def test_a_request_as_it_was_taken_is_read_as_one_by_every_parser(taken: Taken) -> None:
    """What stands before the gateway reads it likewise.

    Except a body behind an upgrade, which httptools takes for the other protocol's bytes; such an
    upgrade is not sent on (RFC 9110 §7.8 allows to ignore it).
    """
    came, head = taken
    assume(not (head.has_body and b"upgrade" in head.tokens(b"connection")))
    wire, body = framed(head.chunked, head.length)

    read_by_all(came + wire, [split(came, body)], head)


@PURE
@given(taken=requests)
def test_a_head_that_came_before_is_read_as_the_first_time(taken: Taken) -> None:
    came, first = taken
    again = parse_request(came, LIMITS, Blocks())

    sent = [head.for_upstream(head.target, NOTHING, ADDED) for head in (first, again)]
    assert sent[0] == sent[1]
    assert (first.keep_alive, first.upgrade) == (again.keep_alive, again.upgrade)


@PURE
@given(taken=requests)
def test_fields_that_came_before_mean_what_they_mean_in_the_other_version(taken: Taken) -> None:
    came, head = taken
    if (found := passed(came.replace(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", 1))) is None:
        return
    old = found[1]
    connection = old.tokens(b"connection")

    assert (old.minor, old.upgrade, old.chunked) == (0, False, False)
    assert old.keep_alive == (b"keep-alive" in connection and b"close" not in connection)
    assert old.length == head.length


def delivered(head: ResponseHead, request: RequestHead) -> tuple[bytes, Message, bool]:
    """What the client is sent for this head and a body, what it means, and whether more follows."""
    delivery = deliver(request, head, draining=False)
    on = head.for_client(delivery.lines)
    wire, body = framed(head.chunked, head.length)
    if head.bodyless(request.method):
        wire = body = b""
    elif not head.chunked and head.length is None:
        wire = body = b"to the end"
    piece, _ = delivery.body.feed(wire)
    if delivery.encode:
        piece = b"%x\r\n%b\r\n0\r\n\r\n" % (len(piece), piece)
    return on + piece, split(on, body), delivery.keeps_client


ASKED = [
    parse_request(method + b" / HTTP/1.1\r\nHost: h\r\n" + connection + b"\r\n", LIMITS, Blocks())
    for method in (b"GET", b"HEAD")
    for connection in (b"", b"Connection: close\r\n")
]


@pytest.mark.behaviour(54, 56)
@PURE
@given(head=finals, request=st.sampled_from(ASKED))
def test_a_response_that_is_passed_on_is_read_as_one_by_every_parser(
    head: ResponseHead, request: RequestHead
) -> None:
    wire, expected, stays = delivered(head, request)
    more, then = (NEXT_RESPONSE, [split(NEXT_RESPONSE, b"")]) if stays else (b"", [])

    found = [parse(wire + more, request.method) for parse in RESPONSE_READERS[request.method]]

    assert found == [[expected, *then]] * len(found)


@PURE
@given(head=interims)
def test_an_interim_response_is_taken_for_the_answer_by_no_parser(head: ResponseHead) -> None:
    on = head.for_client(b"")

    found = [parse(on + NEXT_RESPONSE, b"GET") for parse in RESPONSE_READERS[b"GET"]]

    assert found == [[split(on, b""), split(NEXT_RESPONSE, b"")]] * len(found)
