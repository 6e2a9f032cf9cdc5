"""Which session a terminal belongs to, for clients that connect with nothing but its ticket.

A browser page on another origin can send neither cookie nor header with a WebSocket; OpenCode gives
it a ticket instead, good for 60 seconds and one use. The ticket is checked by OpenCode; only the
way to the right container is remembered here.
"""

_GOOD_FOR_S = 60.0
_MOST = 10_000


class Tickets:
    def __init__(self) -> None:
        self._asked: dict[str, tuple[str, float]] = {}

    def note(self, terminal_id: str, session_id: str, now: float) -> None:
        """Remember that this session asked for a ticket to this terminal.

        Whoever asked first keeps the terminal: another session naming it has guessed its id.
        """
        known = self._asked.get(terminal_id)
        if known is not None and known[1] > now and known[0] != session_id:
            return
        if len(self._asked) >= _MOST:
            self._asked = {t: a for t, a in self._asked.items() if a[1] > now}
        if len(self._asked) < _MOST:
            self._asked[terminal_id] = (session_id, now + _GOOD_FOR_S)

    def session_of(self, terminal_id: str, now: float) -> str | None:
        known = self._asked.get(terminal_id)
        return known[0] if known is not None and known[1] > now else None
