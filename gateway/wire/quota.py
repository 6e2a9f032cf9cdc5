"""How many of something each of many may have at once.

Pure counting: it knows neither what is taken nor by whom.
"""

import sys


class Quota:
    """`most` for each key; nought means no limit."""

    def __init__(self, most: int = 0) -> None:
        self._most = most or sys.maxsize
        self._taken: dict[str, int] = {}

    def take(self, key: str) -> bool:
        """Count one more for `key`, unless it has as many as it may."""
        taken = self._taken.get(key, 0)
        if taken >= self._most:
            return False
        self._taken[key] = taken + 1
        return True

    def give(self, key: str) -> None:
        """Give back what was taken."""
        left = self._taken[key] - 1
        if left:
            self._taken[key] = left
        else:
            del self._taken[key]
