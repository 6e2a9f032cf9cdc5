"""Heads that never repeat, from strangers who wish to be remembered: memory stays bounded."""

import itertools
import tracemalloc
from contextlib import suppress

import pytest

from gateway.wire.fields import BadHead
from gateway.wire.request_head import HeadLimits, parse_request
from gateway.wire.response_head import parse_response

MIB = 1024 * 1024
HEADS = 1_200  # more than are remembered of each sort
LETTERS = b"abcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("lines", "value"),
    [(300, b""), (32, b""), (8, b"v" * 480), (1, b"v" * 16_000)],
    ids=["hundreds-of-tiny-lines", "as-many-as-are-kept", "long-lines", "a-huge-line"],
)
def test_heads_that_never_repeat_take_bounded_memory(lines: int, value: bytes) -> None:
    names = (bytes(name) for name in itertools.product(LETTERS, repeat=5))
    tracemalloc.start()
    try:
        for _ in range(HEADS):
            some = itertools.islice(names, lines)
            block = b"".join(b"%b:%b\r\n" % (name, value) for name in some)
            with suppress(BadHead):
                parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + block + b"\r\n", HeadLimits())
            with suppress(BadHead):
                parse_response(b"HTTP/1.1 200 OK\r\n" + block + b"\r\n")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 48 * MIB
