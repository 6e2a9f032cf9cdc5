"""Where bodies end, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.framing import BadFraming, Body, Chunked, Length, NoBody, UntilClose

CHUNKS = b"5;a=b\r\nhello\r\nA \r\n0123456789\r\n0;z\r\nX-Trailer: 1\r\nCookie: c\r\n\r\n"
PASSED = b"5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"
PAYLOAD = b"hello0123456789"


def fed(body: Body, *pieces: bytes) -> tuple[bytes, bytes]:
    """Return all that was passed on, and what was left over behind the end."""
    passed = rest = b""
    for piece in pieces:
        assert not rest
        more, rest = body.feed(piece)
        passed += more
    return passed, rest


@pytest.mark.behaviour(29)
@pytest.mark.parametrize("cut", range(len(CHUNKS) + 1))
def test_chunks_cut_anywhere_pass_without_extensions_and_trailers(cut: int) -> None:
    body = Chunked()

    assert fed(body, CHUNKS[:cut], CHUNKS[cut:]) == (PASSED, b"")
    assert body.done


@pytest.mark.parametrize("cut", range(len(CHUNKS) + 1))
def test_chunks_cut_anywhere_are_decoded(cut: int) -> None:
    body = Chunked(decode=True)

    assert fed(body, CHUNKS[:cut], CHUNKS[cut:]) == (PAYLOAD, b"")
    assert body.done


def test_chunks_pass_byte_by_byte() -> None:
    body = Chunked()

    assert fed(body, *(CHUNKS[i : i + 1] for i in range(len(CHUNKS)))) == (PASSED, b"")


def test_what_lies_behind_the_last_chunk_is_left_over() -> None:
    assert Chunked().feed(CHUNKS + b"GET /") == (PASSED, b"GET /")


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.data())
def test_any_payload_survives_any_cuts(chunks: list[bytes], data: st.DataObject) -> None:
    sent = b"".join(b"%x\r\n%b\r\n" % (len(c), c) for c in chunks) + b"0\r\n\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(sent)), max_size=5)))
    pieces = [sent[a:b] for a, b in zip([0, *cuts], [*cuts, len(sent)], strict=True)]

    assert fed(Chunked(), *pieces) == (sent, b"")
    assert fed(Chunked(decode=True), *pieces) == (b"".join(chunks), b"")


@pytest.mark.behaviour(26)
@pytest.mark.parametrize(
    "bad",
    [
        b"g\r\n",
        b"0x5\r\nhello\r\n",
        b"+5\r\nhello\r\n",
        b"-5\r\nhello\r\n",
        b" 5\r\nhello\r\n",
        b"\r\nhello\r\n",
        b"5_0\r\n",
        b"5\nhello\r\n",
        b"5\rhello\r\n",
        b"5;a\rb\r\nhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5;\x00\r\nhello\r\n",
        b"5 hello\r\n",
        b"1234567890123456\r\n",
        b"5\r\nhelloX\r\n",
        b"5\r\nhello\n",
        b"5\r\nhello0\r\n\r\n",
        b"0\r\nNo colon\r\n\r\n",
        b"0\r\nX: \x00\r\n\r\n",
        b"0\r\n X: folded\r\n\r\n",
        b"0\r\nX: 1\n\r\n",
        b"5;" + b"a" * 5000 + b"\r\nhello\r\n",
        b"5;" + b"a" * 5000,
        b"0\r\n" + (b"X: " + b"a" * 4000 + b"\r\n") * 5 + b"\r\n",
    ],
)
def test_broken_chunks_are_refused(bad: bytes) -> None:
    with pytest.raises(BadFraming):
        Chunked().feed(bad)


def test_broken_chunks_are_refused_at_the_breaking_byte() -> None:
    body = Chunked()
    body.feed(b"5\r\nhello")

    with pytest.raises(BadFraming):
        body.feed(b"X")


@pytest.mark.behaviour(26)
def test_no_half_of_a_size_line_passes() -> None:
    body = Chunked()

    assert body.feed(b"1") == (b"", b"")
    assert body.feed(b"0\r\n") == (b"10\r\n", b"")


@pytest.mark.behaviour(52)
def test_last_chunk_passes_only_with_its_last_line() -> None:
    body = Chunked()

    assert body.feed(b"0\r\n") == (b"", b"")
    assert not body.done


@given(st.binary(max_size=60))
def test_noise_is_refused_or_waited_for_and_nothing_else(noise: bytes) -> None:
    body = Chunked()
    try:
        body.feed(noise)
    except BadFraming:
        return


@pytest.mark.parametrize("cut", range(6))
def test_length_ends_after_its_bytes(cut: int) -> None:
    body = Length(5)

    assert fed(body, b"hello"[:cut], b"hello"[cut:] + b"GET") == (b"hello", b"GET")
    assert body.done


def test_length_of_nothing_is_done_at_once() -> None:
    assert Length(0).done


def test_short_length_is_not_done() -> None:
    body = Length(5)
    body.feed(b"hell")

    assert not body.done


def test_no_body_leaves_all_over() -> None:
    assert NoBody().feed(b"x") == (b"", b"x")


def test_until_close_takes_all_and_is_never_done() -> None:
    body = UntilClose()

    assert body.feed(b"x") == (b"x", b"")
    assert not body.done
