"""Which session a terminal belongs to, for clients that connect with nothing but its ticket.

A browser page on another origin can send neither cookie nor header with a WebSocket; OpenCode gives
it a ticket instead, good for 60 seconds and one use. The ticket is checked by OpenCode; only the
way to the right container is remembered here.
"""

import asyncio
from contextlib import suppress

_GOOD_FOR_S = 60.0
_MOST_PER_SESSION = 64


class Tickets:
    """Each session has places of its own, so that none can use up another's."""

    def __init__(self) -> None:
        self._asked: dict[str, dict[str, float]] = {}
        self._noted = asyncio.Event()

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
        self._noted.set()
        self._noted = asyncio.Event()

    async def comes(self, terminal_id: str, now: float, within_s: float) -> None:
        """Return once a ticket to this terminal was asked for, or when none was in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.session_of(terminal_id, now) is None:
                    await self._noted.wait()

    def session_of(self, terminal_id: str, now: float) -> str | None:
        for session_id, own in self._asked.items():
            if own.get(terminal_id, 0.0) > now:
                return session_id
        return None
