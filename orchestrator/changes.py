"""Tell every listener of every change, without ever waiting for a slow one.

A listener that falls behind is closed: it comes again and begins with a whole snapshot, which is
cheaper and more honest than a gap. This module does not know what a change says.
"""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

import anyio

MOST_UNREAD = 1024
Change = tuple[str, dict[str, Any]]


class Changes:
    """The listeners. Telling is synchronous, so nothing can come between a change and its word."""

    def __init__(self, most_unread: int = MOST_UNREAD) -> None:
        self._listeners: set[Listener] = set()
        self._most_unread = most_unread
        self._closed = False

    def listen(self, snapshot: Change) -> "Listener":
        listener = Listener(self._most_unread, snapshot)
        if self._closed:
            listener.end()
        else:
            self._listeners.add(listener)
        return listener

    def forget(self, listener: "Listener") -> None:
        self._listeners.discard(listener)

    def tell(self, name: str, body: dict[str, Any]) -> None:
        self._listeners = {each for each in self._listeners if each.tell((name, body))}

    def close(self) -> None:
        """End every listener once it has read what it was told, and those that come later."""
        self._closed = True
        for listener in self._listeners:
            listener.end()
        self._listeners.clear()


class Listener:
    """One reader's bounded queue of changes."""

    def __init__(self, most_unread: int, first: Change) -> None:
        self._unread: deque[Change] = deque([first])
        self._most_unread = most_unread
        self._ended = False
        self._woken = anyio.Event()

    def tell(self, change: Change) -> bool:
        """Queue a change; False if the reader was too slow and its listening has ended."""
        if len(self._unread) >= self._most_unread:
            self._unread.clear()
            self.end()
            return False
        self._unread.append(change)
        self._woken.set()
        return True

    def end(self) -> None:
        self._ended = True
        self._woken.set()

    async def changes(self, heartbeat_s: float) -> AsyncIterator[Change | None]:
        """Yield changes as they come, and None after each quiet `heartbeat_s`, until the end."""
        while True:
            while self._unread:
                yield self._unread.popleft()
            if self._ended:
                return
            self._woken = anyio.Event()
            with anyio.move_on_after(heartbeat_s) as quiet:
                await self._woken.wait()
            if quiet.cancelled_caught:
                yield None
