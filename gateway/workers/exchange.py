"""What the parent does with what its workers say: news goes to all the others, and so do questions.

What workers that have ended had counted is kept here, so that no sum goes down when they do. It
knows no process and no socket: each worker is a number and a function that speaks to it.
"""

from collections.abc import Callable
from typing import Any

from gateway.workers.totals import Snapshot, folded

Message = dict[str, Any]
Say = Callable[[Message], None]


class Exchange:
    def __init__(self) -> None:
        self._members: dict[int, Say] = {}
        self._last_told: dict[int, Snapshot] = {}
        self._gone: list[Snapshot] = []

    def enter(self, member: int, say: Say) -> None:
        self._members[member] = say

    def leave(self, member: int) -> None:
        """A worker has ended; what it had counted when it last said so stays counted."""
        self._members.pop(member, None)
        last = self._last_told.pop(member, None)
        if last is not None:
            self._gone = [folded([*self._gone, last])]

    def heard(self, member: int, message: Message) -> None:
        match message:
            case {"news": _}:
                for other in self._others(member):
                    other(message)
            case {"ask": number}:
                self._ask(member, number)
            case {"answer": number, "to": asker, "snapshot": snapshot}:
                self._last_told[member] = snapshot
                self._members.get(asker, _unsaid)({"answer": number, "snapshot": snapshot})
            case {"farewell": snapshot}:
                self._last_told[member] = snapshot
                self.leave(member)

    def _ask(self, asker: int, number: int) -> None:
        others = self._others(asker)
        self._members.get(asker, _unsaid)({"asked": number, "of": len(others), "gone": self._gone})
        for other in others:
            other({"ask": number, "to": asker})

    def _others(self, member: int) -> list[Say]:
        return [say for other, say in self._members.items() if other != member]


def _unsaid(_message: Message) -> None:
    """Who asked has ended meanwhile."""
