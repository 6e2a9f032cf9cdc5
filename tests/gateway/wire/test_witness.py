"""What a witness is told of a body, and what not."""

from gateway.wire.witness import Witness


def told(*pieces: bytes, chunked: bool = False) -> list[tuple[int, bytes]]:
    heard: list[tuple[int, bytes]] = []
    witness = Witness(lambda status, body: heard.append((status, body)), chunked=chunked)
    for piece in pieces:
        witness.see(piece)
    witness.tell(201)
    return heard


def test_whole_body_is_told() -> None:
    assert told(b"a", b"", b"b") == [(201, b"ab")]


def test_chunks_are_told_as_their_payload() -> None:
    assert told(b"1\r\na\r\n", b"1\r\nb\r\n0\r\n\r\n", chunked=True) == [(201, b"ab")]


def test_long_body_is_neither_kept_nor_told() -> None:
    assert told(b"a" * 65536) == [(201, b"a" * 65536)]
    assert told(b"a" * 65536, b"b", b"c") == []
