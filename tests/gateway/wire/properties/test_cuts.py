"""How a sender's bytes are cut on their way is nobody's doing, and must mean nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.fields import BadHead
from gateway.wire.framing import BadFraming, Chunked
from gateway.wire.head_buffer import HeadBuffer
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from tests.gateway.wire.properties import streams
from tests.gateway.wire.properties.effort import PURE
from tests.gateway.wire.properties.exchanges import cut, segments

LIMITS = HeadLimits(head_bytes=512)
REFUSED = (b"refused", b"")
EMPTY_LINES = st.integers(0, 3).map(lambda count: b"\r\n" * count)


def first_head(pieces: list[bytes]) -> tuple[bytes, bytes] | None:
    """The first request's head in these pieces and all that follows it, or what is wrong."""
    buffer, left = HeadBuffer(LIMITS), list(pieces)
    try:
        while left:
            if (whole := buffer.feed(left.pop(0))) is not None:
                parse_request(whole[0], LIMITS, Blocks())
                return whole[0], b"".join([whole[1], *left])
    except BadHead:
        return REFUSED
    return None


def first_body(pieces: list[bytes], *, decode: bool) -> tuple[bytes, bytes]:
    """What of a chunked body passes, and all that follows it, or what is wrong."""
    body, passed, left = Chunked(decode=decode), b"", list(pieces)
    try:
        while left and not body.done:
            piece, rest = body.feed(left.pop(0))
            passed += piece
            left[:0] = [rest] if rest else []
    except BadFraming:
        return REFUSED
    return passed, b"".join(left)


@PURE
@given(lines=EMPTY_LINES, stream=streams.of_client, cuts=segments)
def test_a_head_is_the_same_however_it_is_cut(
    lines: bytes, stream: bytes, cuts: tuple[int, ...]
) -> None:
    assert first_head(cut(lines + stream, cuts)) == first_head([lines + stream])


@pytest.mark.behaviour(26, 34)
@PURE
@given(body=streams.bodies, cuts=segments, decode=st.booleans())
def test_a_body_is_the_same_however_it_is_cut(
    body: bytes, cuts: tuple[int, ...], decode: bool
) -> None:
    assert first_body(cut(body, cuts), decode=decode) == first_body([body], decode=decode)
