"""What one OpenCode server is busy with, and when anything last happened in it.

Fed with the server's events, with what others report and with the time; it asks nothing and decides
nothing. Times are monotonic. It does not know what follows from being idle.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from orchestrator.events import Event
from orchestrator.work import Seen, Turn, Work

# A turn of which nothing is heard for so long, while the processor rests as well, is none: OpenCode
# has been seen to call a conversation busy for ever. No real turn is that quiet for that long: a
# model that answers nothing and a command that prints nothing are given up by OpenCode long before.
SILENT_TURN_S = 4 * 3600.0
# How long events of a kind that nobody here has heard of keep it awake, counted from the last one
# that is known: they may be a new kind of work, or a new kind of heartbeat.
STRANGE_FOR_S = 3600.0
# How long a terminal seen printing is said to print.
PRINTS_FOR_S = 60.0
# Below this share of one processor a server is at rest; an idle OpenCode uses 0.01 to 0.03.
_AT_REST = 0.1
# What is measured over less than this tells nothing.
_SHORTEST_MEASURE_S = 1.0

# Events that count as activity, and what a person is told of them.
_COUNTS = {
    "session.created": "a conversation was begun",
    "session.updated": "a conversation changed",
    "session.deleted": "a conversation was deleted",
    "session.status": "a turn",
    "session.idle": "a turn ended",
    "session.error": "a turn failed",
    "session.diff": "a turn",
    "session.compacted": "a conversation was compacted",
    "message.updated": "a message",
    "message.removed": "a message was removed",
    "message.part.updated": "a message",
    "message.part.removed": "a message was changed",
    "message.part.delta": "a turn",
    "permission.asked": "a permission was asked for",
    "permission.replied": "a permission was answered",
    "permission.v2.asked": "a permission was asked for",
    "permission.v2.replied": "a permission was answered",
    "question.asked": "a question was asked",
    "question.replied": "a question was answered",
    "question.rejected": "a question was turned down",
    "question.v2.asked": "a question was asked",
    "question.v2.replied": "a question was answered",
    "question.v2.rejected": "a question was turned down",
    "pty.created": "a terminal was opened",
    "pty.updated": "a terminal was changed",
    "pty.exited": "a terminal's program ended",
    "pty.deleted": "a terminal was closed",
    "todo.updated": "a turn",
    "command.executed": "a command",
    "file.edited": "a file was edited",
    "tui.prompt.append": "a request",
    "tui.command.execute": "a request",
    "tui.toast.show": "a request",
    "tui.session.select": "a request",
    "worktree.ready": "a worktree was made",
    "worktree.failed": "a worktree could not be made",
}
# OpenCode's second kind of conversation; all its events are about work.
_COUNTS_TOO = "session.next."

# Events that do not count: a server sends them with nobody there, or they only follow from a
# request, a turn or a terminal, which count themselves. A file watcher reports every file that a
# forgotten program writes, a language or tool server speaks when it likes, a catalogue is fetched
# by a timer, and an instance being loaded announces all of its parts.
_NOISE = frozenset(
    {
        "sync",  # repeats the event before it, for replicas
        "server.connected",
        "server.heartbeat",
        "server.instance.disposed",
        "global.disposed",
        "catalog.updated",
        "reference.updated",
        "integration.updated",
        "integration.connection.updated",
        "plugin.added",
        "project.updated",
        "project.directories.updated",
        "models-dev.refreshed",
        "file.watcher.updated",
        "vcs.branch.updated",
        "lsp.updated",
        "lsp.client.diagnostics",
        "mcp.tools.changed",
        "mcp.browser.open.failed",
        "installation.updated",
        "installation.update-available",
        "workspace.status",
        "workspace.ready",
        "workspace.failed",
    }
)


class Activity:
    """One server's, since `now`; `work` is what is in progress."""

    def __init__(self, now: float, what: str = "it was started") -> None:
        self.work = Work()
        self.last = now
        self.what = what
        self._known = now
        self._computed = now
        self._cpu: tuple[float, float] | None = None

    def touched(self, what: str, now: float) -> None:
        """Something that counts happened, by somebody else's report."""
        self.last = self._known = max(self.last, now)
        self.what = what

    def happened(self, event: Event, now: float) -> None:
        self.work.happened(event, now)
        if event.type in _NOISE:
            return
        what = _COUNTS.get(event.type) or ("a turn" if event.type.startswith(_COUNTS_TOO) else "")
        if what:
            self.work.heard(event.conversation, now)
            self.touched(what, now)
        elif now - self._known <= STRANGE_FOR_S:
            self.last, self.what = max(self.last, now), "an event of a new kind"

    def seeded(self, seen: Seen, now: float) -> None:
        """Take in what a directory says of itself after events were missed."""
        self.work.seeded(seen, now)

    def looked(self, cursors: Mapping[str, int], now: float) -> None:
        """Take in how much each terminal has printed by now. One that was never looked at may have
        printed until now, so it counts; to spare an idle one that, look twice."""
        for key, cursor in cursors.items():
            if (terminal := self.work.terminals.get(key)) is None:
                continue
            grown = terminal.cursor is None or cursor > terminal.cursor
            printed = now if grown else terminal.printed
            self.work.terminals[key] = replace(terminal, cursor=cursor, printed=printed)
            if grown:
                self.touched("a terminal printed", now)

    def computed(self, cpu_s: float, now: float) -> None:
        """Take in the processor's seconds used since the boot: a turn may be silent and at work."""
        if self._cpu is not None:
            used, since = cpu_s - self._cpu[0], now - self._cpu[1]
            if since < _SHORTEST_MEASURE_S:
                return
            if used > _AT_REST * since:
                self._computed = now
        self._cpu = (cpu_s, now)

    def busy(self, now: float, ask_wait_s: float) -> list[str]:
        """Why it must not be disturbed, in words; empty when it is idle. What waits for a person
        keeps it busy for `ask_wait_s` and no longer."""
        return list(self._phrases(now, ask_wait_s))

    def _phrases(self, now: float, ask_wait_s: float) -> Iterator[str]:
        asking = self.work.asking()
        turns = self.work.turns.items()
        running = [turn for key, turn in turns if key not in asking and self._alive(turn, now)]
        waiting = [ask.kind for ask in self.work.asks.values() if now - ask.since <= ask_wait_s]
        looked = (terminal.printed for terminal in self.work.terminals.values())
        printing = sum(printed is not None and now - printed <= PRINTS_FOR_S for printed in looked)
        retrying = sum(turn.retries for turn in running)
        yield from _counted(len(running) - retrying, "turn", "is running", "are running")
        yield from _counted(retrying, "turn", "is being retried", "are being retried")
        for kind in ("permission", "question"):
            yield from _counted(waiting.count(kind), kind, "is waiting", "are waiting")
        yield from _counted(printing, "terminal", "prints", "print")

    def _alive(self, turn: Turn, now: float) -> bool:
        return now - max(turn.heard, self._computed) <= SILENT_TURN_S


def _counted(count: int, noun: str, is_so: str, are_so: str) -> Iterator[str]:
    if count == 1:
        yield f"a {noun} {is_so}"
    elif count > 1:
        yield f"{count} {noun}s {are_so}"
