"""Heads that never repeat, from strangers who wish to be remembered: memory stays bounded."""

import itertools
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from gateway.reading import Readings
from gateway.via import Via
from gateway.wire.fields import BadHead
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from gateway.wire.response_head import parse_response

MIB = 1024 * 1024
HEADS = 1_200  # more than are remembered of each sort
SENDERS = 4_500
LETTERS = b"abcdefghijklmnopqrstuvwxyz"


@contextmanager
def _at_most(mib: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < mib * MIB


def _names() -> Iterator[bytes]:
    return (bytes(name) for name in itertools.product(LETTERS, repeat=5))


@pytest.mark.parametrize(
    ("lines", "value"),
    [(300, b""), (32, b""), (8, b"v" * 480), (1, b"v" * 16_000)],
    ids=["hundreds-of-tiny-lines", "as-many-as-are-kept", "long-lines", "a-huge-line"],
)
def test_heads_that_never_repeat_take_bounded_memory(lines: int, value: bytes) -> None:
    names, blocks = _names(), Blocks()
    with _at_most(48):
        for _ in range(HEADS):
            some = itertools.islice(names, lines)
            block = b"".join(b"%b:%b\r\n" % (name, value) for name in some)
            _take(block, blocks)


def test_long_lists_that_never_repeat_take_bounded_memory() -> None:
    names, blocks = _names(), Blocks()
    with _at_most(48):
        for _ in range(HEADS):
            members = b",".join(itertools.islice(names, 600))
            _take(b"Connection: %b\r\nTE: %b\r\n" % (members, members[:400]), blocks)


@pytest.mark.parametrize("size", [3_900, 30_000])
def test_credentials_that_never_repeat_take_bounded_memory(size: int) -> None:
    names, blocks, readings = _names(), Blocks(), Readings(Via([b"k" * 32]))
    with _at_most(64):
        for name in itertools.islice(names, SENDERS):
            head = b"GET / HTTP/1.1\r\nHost: a\r\nCookie: %b=%b\r\n\r\n" % (name, b"v" * size)
            fields = parse_request(head, HeadLimits(), blocks).fields
            fields.annex = readings.read(fields)


def _take(block: bytes, blocks: Blocks) -> None:
    with suppress(BadHead):
        parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n" + block + b"\r\n", HeadLimits(), blocks)
    with suppress(BadHead):
        parse_response(b"HTTP/1.1 200 OK\r\n" + block + b"\r\n")
