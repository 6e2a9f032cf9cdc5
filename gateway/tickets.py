"""Which session a terminal belongs to, for clients that connect with nothing but its ticket.

A browser page on another origin can send neither cookie nor header with a WebSocket; OpenCode gives
it a ticket instead, good for 60 seconds and one use. The ticket is checked by OpenCode; only the
way to the right container is remembered here.
"""

_GOOD_FOR_S = 60.0
_MOST_PER_SESSION = 64


class Tickets:
    """Each session has places of its own, so that none can use up another's."""

    def __init__(self) -> None:
        self._asked: dict[str, dict[str, float]] = {}

    def note(self, terminal_id: str, session_id: str, now: float) -> None:
        """Remember that this session asked for a ticket to this terminal.

        Whoever asked first keeps the terminal: another session naming it has guessed its id.
        """
        if self.session_of(terminal_id, now) not in (None, session_id):
            return
        own = self._asked.setdefault(session_id, {})
        own.pop(terminal_id, None)
        own[terminal_id] = now + _GOOD_FOR_S
        if len(own) > _MOST_PER_SESSION:
            del own[next(iter(own))]

    def session_of(self, terminal_id: str, now: float) -> str | None:
        for session_id, own in self._asked.items():
            if own.get(terminal_id, 0.0) > now:
                return session_id
        return None
