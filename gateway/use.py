"""How a container is used from here, noted in passing: two attributes that the hot path can afford.

One belongs to each upstream, so that it ends with the container. It keeps no time: whoever looks
once a second (`activity`) takes what was noted since.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class Use:
    """`asked` says that a request that counts went there since the last look; `turns` is how many
    of our own chat endpoint's are under way."""

    __slots__ = ("asked", "turns")

    def __init__(self) -> None:
        self.asked = False
        self.turns = 0

    @contextmanager
    def by_a_turn(self) -> Iterator[None]:
        self.turns += 1
        try:
            yield
        finally:
            self.turns -= 1

    def taken(self) -> bool:
        """Return whether it was used since this was last asked, or is now."""
        asked, self.asked = self.asked, False
        return asked or self.turns > 0
