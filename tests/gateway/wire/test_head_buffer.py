"""Heads put together from pieces, and what is too long to be one."""

import pytest

from gateway.wire.fields import BadHead
from gateway.wire.head_buffer import HeadBuffer
from gateway.wire.request_head import HeadLimits

LIMITS = HeadLimits(head_bytes=512, target_bytes=100, fields=8)
HEAD = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("cut", range(1, len(HEAD)))
def test_head_cut_anywhere_is_put_together(cut: int) -> None:
    buffer = HeadBuffer(LIMITS)

    assert buffer.feed(HEAD[:cut]) is None
    assert buffer.feed(HEAD[cut:] + b"rest") == (HEAD, b"rest")
    assert not buffer.held


@pytest.mark.parametrize("lines", [1, 2, 100])
def test_empty_lines_before_a_head_are_ignored(lines: int) -> None:
    assert HeadBuffer(LIMITS).feed(b"\r\n" * lines + HEAD) == (HEAD, b"")


def test_empty_line_alone_begins_no_head() -> None:
    buffer = HeadBuffer(LIMITS)

    assert buffer.feed(b"\r\n") is None
    assert not buffer.held


def test_head_of_exactly_the_limit_is_taken() -> None:
    head = b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 480 + b"\r\n\r\n"

    assert len(head) == LIMITS.head_bytes
    assert HeadBuffer(LIMITS).feed(head + b"body" * 200) == (head, b"body" * 200)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 600, 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 600, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 481 + b"\r\n\r\n", 431),
    ],
)
def test_head_beyond_the_limit_is_refused_at_once(head: bytes, status: int) -> None:
    with pytest.raises(BadHead) as caught:
        HeadBuffer(LIMITS).feed(head)

    assert caught.value.status == status


def test_head_of_bare_line_feeds_is_not_waited_for() -> None:
    assert HeadBuffer(LIMITS).feed(b"GET / HTTP/1.1\n\n") == (b"GET / HTTP/1.1\n\n", b"")
