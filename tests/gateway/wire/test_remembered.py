"""What is remembered, and what makes room."""

from gateway.wire.remembered import Remembered


def test_the_oldest_makes_room() -> None:
    known: Remembered[bytes, int] = Remembered(2)
    for number, key in enumerate((b"a", b"b", b"c")):
        known.keep(key, number)

    assert (known.get(b"a"), known.get(b"b"), known.get(b"c")) == (None, 1, 2)
