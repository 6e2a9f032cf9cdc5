"""What was worked out once for some bytes, for as long as there is room.

Strangers choose the bytes, so number and length are bounded, and the oldest goes first, one at a
time: emptying a full memory at once would hold up every connection for milliseconds.
"""

from collections import OrderedDict
from typing import TypeVar

_Key = TypeVar("_Key")
_Found = TypeVar("_Found")


class Remembered(OrderedDict[_Key, _Found]):
    """Look up with `get`, as in any dict; `most` is a count."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: _Key, found: _Found) -> None:
        self[key] = found
        if len(self) > self._most:
            self.popitem(last=False)
