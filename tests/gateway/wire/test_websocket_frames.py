"""Frame boundaries in a tunnel's bytes, however they are cut, and the close frame put there."""

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, Frame, Opcode

from gateway.wire.websocket_frames import Frames, close_frame

ORDINARY = [Opcode.CONT, Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.PONG]


def frame(size: int, *, masked: bool, opcode: Opcode = Opcode.BINARY, fin: bool = True) -> bytes:
    return Frame(opcode, b"x" * size, fin=fin).serialize(mask=masked)


def followed(*pieces: bytes, masked: bool = False) -> Frames:
    frames = Frames(masked=masked)
    for piece in pieces:
        frames.follow(piece)
    return frames


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 200_000])
def test_after_a_whole_frame_is_a_boundary_and_within_it_is_none(
    size: int, *, masked: bool
) -> None:
    data = frame(size, masked=masked)

    assert followed(data, masked=masked).may_close
    assert not followed(data[:-1], masked=masked).may_close
    assert not followed(data[:1], masked=masked).may_close


@pytest.mark.parametrize("masked", [False, True])
def test_frame_that_comes_byte_by_byte_ends_with_its_last(*, masked: bool) -> None:
    data = frame(300, masked=masked)
    frames = Frames(masked=masked)

    boundaries = []
    for at in range(len(data)):
        frames.follow(data[at : at + 1])
        boundaries.append(frames.may_close)

    assert boundaries == [False] * (len(data) - 1) + [True]


@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(ORDINARY), st.integers(0, 125), st.booleans()), max_size=6),
    st.sampled_from([0, 126, 65536]),
    st.data(),
)
def test_frames_cut_anywhere_end_where_they_end(
    masked: bool, small: list[tuple[Opcode, int, bool]], large: int, draw: st.DataObject
) -> None:
    each = [
        frame(size, masked=masked, opcode=opcode, fin=fin or opcode >= Opcode.PING)
        for opcode, size, fin in small
    ]
    each.append(frame(large, masked=masked))
    data, ends = b"".join(each), {0}
    for one in each:
        ends.add(max(ends) + len(one))
    cuts = sorted(draw.draw(st.sets(st.integers(1, len(data)), max_size=8)) | {0})
    frames = Frames(masked=masked)

    for start, end in pairwise(cuts):
        frames.follow(data[start:end])

        assert frames.may_close is (end in ends)


def test_between_fragments_of_a_message_a_close_frame_may_stand() -> None:
    first = frame(9, masked=False, opcode=Opcode.TEXT, fin=False)

    assert followed(first).may_close


def test_behind_a_close_frame_no_other_may_stand() -> None:
    data = Frame(Opcode.CLOSE, Close(1000, "").serialize()).serialize(mask=False)

    assert not followed(data).may_close
    assert not followed(frame(3, masked=False) + data).may_close


@given(st.booleans(), st.binary(max_size=200), st.data())
def test_noise_is_followed_alike_however_it_is_cut(
    masked: bool, noise: bytes, draw: st.DataObject
) -> None:
    cut = draw.draw(st.integers(0, len(noise)))
    bytewise = (noise[at : at + 1] for at in range(len(noise)))

    whole = followed(noise, masked=masked).may_close

    assert followed(noise[:cut], noise[cut:], masked=masked).may_close is whole
    assert followed(*bytewise, masked=masked).may_close is whole


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\x83\x00",  # a reserved opcode
        b"\x8b\x00",
        b"\x81\x80abcd",  # masked by a server
        b"\x09\x00",  # a fragmented ping
        b"\x89\x7e\x00\x7e",  # a long ping
        b"\x82\x7f" + b"\xff" * 8,  # longer than a length can be
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_after_nonsense_there_is_no_boundary_any_more(nonsense: bytes) -> None:
    assert not followed(nonsense, frame(1, masked=False), masked=False).may_close


def test_unmasked_frame_of_a_client_is_nonsense() -> None:
    assert not followed(frame(1, masked=False), masked=True).may_close


def test_payload_is_not_kept() -> None:
    frames = Frames(masked=False)
    block = bytes(65536)
    frames.follow(b"\x82\x7f" + (1 << 40).to_bytes(8))

    tracemalloc.start()
    for _ in range(1000):
        frames.follow(block)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 10_000


def test_close_frame_says_code_and_reason() -> None:
    assert close_frame(1012, b"restart") == b"\x88\x09\x03\xf4restart"


def test_close_frame_for_a_server_is_masked_anew_each_time() -> None:
    first, second = (close_frame(1001, b"away", masked=True) for _ in range(2))

    for data in (first, second):
        assert data[:2] == b"\x88\x86"
        assert bytes(b ^ data[2 + at % 4] for at, b in enumerate(data[6:])) == b"\x03\xe9away"
    assert first[2:6] != second[2:6]
