"""What is in progress in one OpenCode server: turns, what waits for a person, terminals.

A table from the kind of an event to what it changes; what it does not name changes nothing. It
knows no time but what it is given, and does not know what counts as busy.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.events import Event, member, text


@dataclass(frozen=True, slots=True)
class Turn:
    """A conversation at work. `heard` is when its last event came; `retries` is true while OpenCode
    waits to ask the model again."""

    directory: str
    heard: float
    retries: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """A question or permission that waits for a person since `since`."""

    kind: str
    conversation: str
    directory: str
    since: float


@dataclass(frozen=True, slots=True)
class Terminal:
    """`cursor` is how much it had printed when it was last looked at."""

    directory: str
    cursor: int | None = None
    printed: float | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What a directory's own lists say, as OpenCode answers them: missed events in one picture."""

    directory: str
    status: Mapping[str, Any]
    permissions: Iterable[Mapping[str, Any]]
    questions: Iterable[Mapping[str, Any]]
    terminals: Iterable[Mapping[str, Any]]


class Work:
    """One server's; every method takes things as OpenCode sends them, and none of them raises.

    `begun` are the conversations that were at work since: what was said of an earlier turn of
    theirs is out of date.
    """

    def __init__(self) -> None:
        self.turns: dict[str, Turn] = {}
        self.asks: dict[str, Ask] = {}
        self.terminals: dict[str, Terminal] = {}
        self.begun: set[str] = set()
        self._parents: dict[str, str] = {}

    def happened(self, event: Event, now: float) -> None:
        if note := _NOTES.get(event.type):
            note(self, event, now)

    def heard(self, conversation: str, now: float) -> None:
        """It gave a sign of life."""
        if turn := self.turns.get(conversation):
            self.turns[conversation] = replace(turn, heard=now)

    def seeded(self, seen: Seen, now: float) -> None:
        """Replace all that is known of a directory by what it says itself."""
        asks_before, terminals_before = self.asks, self.terminals
        self.forget(seen.directory)
        for conversation, status in seen.status.items():
            self._status(conversation, seen.directory, status, now)
        for kind, asks in (("permission", seen.permissions), ("question", seen.questions)):
            for ask in asks:
                # The list keeps for ever what an aborted turn had asked.
                if text(ask, "sessionID") in self.turns:
                    known = asks_before.get(text(ask, "id"))
                    self._asked(kind, ask, seen.directory, known.since if known else now)
        for info in seen.terminals:
            self._terminal(info, seen.directory, terminals_before)

    def related(self, conversation: str, parent: str) -> None:
        """A sub-agent's conversation belongs to the one that waits for it."""
        if conversation and parent:
            self._parents[conversation] = parent

    def asking(self) -> set[str]:
        """The conversations that wait for a person, and those that wait for these."""
        asking: set[str] = set()
        for ask in self.asks.values():
            conversation: str | None = ask.conversation
            while conversation is not None and conversation not in asking:
                asking.add(conversation)
                conversation = self._parents.get(conversation)
        return asking

    def running(self) -> dict[str, str]:
        """The directory of each conversation at work: what a kill would interrupt."""
        return {conversation: turn.directory for conversation, turn in self.turns.items()}

    def directories(self) -> set[str]:
        """Those in which something is in progress, which are loaded therefore."""
        places = {turn.directory for turn in self.turns.values()}
        places |= {ask.directory for ask in self.asks.values()}
        return places | {terminal.directory for terminal in self.terminals.values()}

    def forget(self, directory: str) -> None:
        self.turns = {k: turn for k, turn in self.turns.items() if turn.directory != directory}
        self.asks = {k: ask for k, ask in self.asks.items() if ask.directory != directory}
        self.terminals = {k: t for k, t in self.terminals.items() if t.directory != directory}

    def _status(self, conversation: str, directory: str, status: Any, now: float) -> None:
        kind = text(status, "type")
        if kind == "idle":
            self._over(conversation)
        elif kind in ("busy", "retry"):
            self._begin(conversation, Turn(directory, now, retries=kind == "retry"))

    def _begin(self, conversation: str, turn: Turn) -> None:
        if conversation:
            self.turns[conversation] = turn
            self.begun.add(conversation)

    def _over(self, conversation: str) -> None:
        """Its turn has ended, and with it what it asked: an abort announces no answer."""
        self.turns.pop(conversation, None)
        self.asks = {k: ask for k, ask in self.asks.items() if ask.conversation != conversation}

    def _asked(self, kind: str, ask: Any, directory: str, since: float) -> None:
        if key := text(ask, "id"):
            self.asks[key] = Ask(kind, text(ask, "sessionID"), directory, since)

    def _terminal(self, info: Any, directory: str, before: Mapping[str, Terminal]) -> None:
        if not (key := text(info, "id")):
            return
        if text(info, "status") == "running":
            self.terminals[key] = before.get(key) or Terminal(directory)
        else:
            self.terminals.pop(key, None)

    def _note_status(self, event: Event, now: float) -> None:
        status = member(event.properties, "status")
        self._status(event.conversation, event.directory, status, now)

    def _note_parent(self, event: Event, now: float) -> None:
        self.related(event.conversation, text(member(event.properties, "info"), "parentID"))

    def _note_begin(self, event: Event, now: float) -> None:
        self._begin(event.conversation, Turn(event.directory, now))

    def _note_end(self, event: Event, now: float) -> None:
        self._over(event.conversation)

    def _note_permission(self, event: Event, now: float) -> None:
        self._asked("permission", event.properties, event.directory, now)

    def _note_question(self, event: Event, now: float) -> None:
        self._asked("question", event.properties, event.directory, now)

    def _note_answer(self, event: Event, now: float) -> None:
        self.asks.pop(text(event.properties, "requestID"), None)

    def _note_terminal(self, event: Event, now: float) -> None:
        self._terminal(member(event.properties, "info"), event.directory, self.terminals)

    def _note_closed(self, event: Event, now: float) -> None:
        self.terminals.pop(text(event.properties, "id"), None)

    def _note_disposed(self, event: Event, now: float) -> None:
        self.forget(text(event.properties, "directory") or event.directory)

    def _note_all_disposed(self, event: Event, now: float) -> None:
        for directory in self.directories():
            self.forget(directory)


_NOTES: Mapping[str, Callable[[Work, Event, float], None]] = {
    "session.status": Work._note_status,
    "session.created": Work._note_parent,
    "session.updated": Work._note_parent,
    "session.idle": Work._note_end,
    "session.deleted": Work._note_end,
    # OpenCode's second kind of conversation has no status: a step or a command of it is a turn.
    "session.next.step.started": Work._note_begin,
    "session.next.step.ended": Work._note_end,
    "session.next.step.failed": Work._note_end,
    "session.next.tool.called": Work._note_begin,
    "session.next.shell.started": Work._note_begin,
    "session.next.shell.ended": Work._note_end,
    "permission.asked": Work._note_permission,
    "permission.replied": Work._note_answer,
    "question.asked": Work._note_question,
    "question.replied": Work._note_answer,
    "question.rejected": Work._note_answer,
    "permission.v2.asked": Work._note_permission,
    "permission.v2.replied": Work._note_answer,
    "question.v2.asked": Work._note_question,
    "question.v2.replied": Work._note_answer,
    "question.v2.rejected": Work._note_answer,
    "pty.created": Work._note_terminal,
    "pty.updated": Work._note_terminal,
    "pty.exited": Work._note_closed,
    "pty.deleted": Work._note_closed,
    "server.instance.disposed": Work._note_disposed,
    "global.disposed": Work._note_all_disposed,
}
