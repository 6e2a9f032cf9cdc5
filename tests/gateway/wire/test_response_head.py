"""Which response heads are taken, and what of them is sent on."""

import pytest

from gateway.wire.fields import BadHead
from gateway.wire.response_head import ResponseHead, parse_response

NOTHING: frozenset[bytes] = frozenset()


def response(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> ResponseHead:
    return parse_response(b"\r\n".join([first, *lines, b"", b""]))


@pytest.mark.behaviour(54)
@pytest.mark.parametrize("line", [b"Content-Length: 5, 5", b"Transfer-Encoding: gzip, chunked"])
def test_bad_framing_of_a_response_is_the_upstreams_fault(line: bytes) -> None:
    with pytest.raises(BadHead) as caught:
        response(line)

    assert caught.value.status == 502


@pytest.mark.behaviour(12)
def test_a_response_keeps_its_length_too() -> None:
    sent = response(b"Connection: content-length", b"Content-Length: 5").for_client(b"")

    assert sent == b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.behaviour(21)
@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200 Very fine, \xe9!",
        b"HTTP/1.1 200 ",
        b"HTTP/1.1 599 x",
        b"HTTP/1.1 999 x",
    ],
)
def test_status_line_travels_as_it_came(first: bytes) -> None:
    assert response(b"A: 1", first=first).for_client(b"") == first + b"\r\nA: 1\r\n\r\n"


@pytest.mark.behaviour(56, 57)
@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 099 OK\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        b"HTTP/1.1 200 O\x00K\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n",
        b"<html>\r\n\r\n",
        b"\r\n\r\n",
    ],
)
def test_response_head_is_refused(head: bytes) -> None:
    with pytest.raises(BadHead) as caught:
        parse_response(head)

    assert caught.value.status == 502


@pytest.mark.behaviour(15)
def test_refused_cookie_is_left_out_and_the_others_stay_apart() -> None:
    head = response(b"Set-Cookie: a=1", b"set-cookie:  ours=2", b"Set-Cookie: b=3")

    sent = head.for_client(b"", refuse_cookie=lambda value: value.startswith(b"ours="))

    assert sent == b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=3\r\n\r\n"


def test_hidden_field_does_not_pass_however_it_is_spelled() -> None:
    head = response(b"X-Ours: forged", b"x-OURS: again", b"X-Theirs: 1")

    assert head.for_client(b"", frozenset((b"x-ours",))) == (
        b"HTTP/1.1 200 OK\r\nX-Theirs: 1\r\n\r\n"
    )


@pytest.mark.behaviour(44)
@pytest.mark.parametrize("first", [b"HTTP/1.1 103 Early", b"HTTP/1.1 204 None", b"HTTP/1.1 101 S"])
def test_length_is_left_out_where_no_body_can_follow(first: bytes) -> None:
    sent = response(b"Content-Length: 5", first=first).for_client(b"")

    assert sent == first + b"\r\n\r\n"


@pytest.mark.behaviour(44)
def test_304_keeps_the_length_of_what_was_not_sent() -> None:
    sent = response(b"Content-Length: 5", first=b"HTTP/1.1 304 Same").for_client(b"")

    assert sent == b"HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "method", "bodyless"),
    [(200, b"GET", False), (200, b"HEAD", True), (204, b"GET", True), (304, b"GET", True)],
)
def test_bodies_that_are_none(status: int, method: bytes, bodyless: bool) -> None:
    assert response(first=b"HTTP/1.1 %d x" % status).bodyless(method) is bodyless
