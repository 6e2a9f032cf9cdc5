"""What the parent does with what its workers say: news and questions go to all the others.

What workers that have ended had counted is kept here, so that no sum goes down when they do. It
knows no process and no socket: each worker is a number and a function that speaks to it.
"""

from collections.abc import Callable
from typing import Any

from gateway.workers.totals import Snapshot, folded

Message = dict[str, Any]
Say = Callable[[Message], None]


class Switchboard:
    def __init__(self) -> None:
        self._members: dict[int, Say] = {}
        self._serving: set[int] = set()
        self._last_told: dict[int, Snapshot] = {}
        self._gone: list[Snapshot] = []

    def enter(self, member: int, say: Say) -> None:
        self._members[member] = say

    def leave(self, member: int) -> None:
        """A worker has ended; what it had counted when it last said so stays counted."""
        self._members.pop(member, None)
        self._serving.discard(member)
        last = self._last_told.pop(member, None)
        if last is not None:
            self._gone = [folded([*self._gone, last])]

    def heard(self, member: int, message: Message) -> None:
        match message:
            case {"news": _}:
                for say in [say for other, say in self._members.items() if other != member]:
                    say(message)
            case {"serves": _}:
                self._serving.add(member)
            case {"ask": number, "snapshot": snapshot}:
                self._last_told[member] = snapshot
                self._ask(member, number)
            case {"answer": number, "to": asker, "snapshot": snapshot}:
                self._last_told[member] = snapshot
                self._members.get(asker, _unsaid)({"answer": number, "snapshot": snapshot})
            case {"farewell": snapshot}:
                self._last_told[member] = snapshot
                self.leave(member)

    def _ask(self, asker: int, number: int) -> None:
        # One that is starting would answer when it has read the store, and has counted nothing.
        others = self._serving - {asker}
        self._members.get(asker, _unsaid)({"asked": number, "of": len(others), "gone": self._gone})
        for other in others:
            self._members[other]({"ask": number, "to": asker})


def _unsaid(_message: Message) -> None:
    """Who asked has ended meanwhile."""
