"""Which lines are judged anew, and that what is remembered is never another's."""

import pytest

from gateway.wire import fields, response_head
from gateway.wire.fields import BadHead, Fields
from gateway.wire.request_head import Blocks, HeadLimits, RequestHead, parse_request
from gateway.wire.response_head import parse_response

NOTHING: frozenset[bytes] = frozenset()


BLOCKS = Blocks()


def request(*lines: bytes, first: bytes = b"GET /x HTTP/1.1", most: int = 128) -> RequestHead:
    raw = b"\r\n".join([first, b"Host: gw.example", *lines, b"", b""])
    return parse_request(raw, HeadLimits(fields=most), BLOCKS)


def test_the_same_fields_are_read_once_whatever_is_asked_for() -> None:
    first = request(b"X-Once: 1")
    second = request(b"X-Once: 1", first=b"POST /y HTTP/1.1")

    assert first.fields is second.fields
    assert (second.method, second.target) == (b"POST", b"/y")


def test_fields_of_another_version_are_other_fields() -> None:
    old = request(b"Connection: keep-alive", first=b"GET / HTTP/1.0")

    assert old.fields is not request(b"Connection: keep-alive").fields
    assert (old.minor, old.keep_alive) == (0, True)


def test_a_remembered_block_is_held_to_the_limits_of_who_asks() -> None:
    request(b"X-A: 1", b"X-B: 1")

    with pytest.raises(BadHead) as refused:
        request(b"X-A: 1", b"X-B: 1", most=2)
    assert refused.value.status == 431


@pytest.mark.parametrize("line", [b"X-Bad : 1", b"X-Bad\t: 1", b" X-Bad: 1", b"X-Bad: \x01", b"X"])
def test_a_bad_line_is_refused_each_time_it_comes(line: bytes) -> None:
    for _ in range(2):
        with pytest.raises(BadHead) as refused:
            request(line)
        assert refused.value.status == 400


def test_a_bad_line_of_an_upstream_is_the_upstreams() -> None:
    with pytest.raises(BadHead) as refused:
        parse_response(b"HTTP/1.1 200 OK\r\nX-Bad : 1\r\n\r\n")

    assert refused.value.status == 502


def test_what_was_left_out_once_is_left_out_anew_for_another_wish() -> None:
    found = Fields(b"A: 1\r\nB: 2", 1, 400)

    assert found.passed_on(frozenset((b"a",))) == b"B: 2\r\n"
    assert found.passed_on(frozenset((b"b",))) == b"A: 1\r\n"


def test_a_head_that_sets_a_cookie_is_not_remembered() -> None:
    raw = b"HTTP/1.1 200 OK\r\nSet-Cookie: canary=1\r\n\r\n"
    parse_response(raw)

    assert raw not in response_head._answers


def test_a_long_line_is_not_remembered() -> None:
    line = b"X-Long: " + b"x" * 600
    request(line)

    assert line not in fields._known
