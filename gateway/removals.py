"""Sessions whose container and volume are gone for good: their rows go as well.

So a deletion that was asked while the engine was away is finished by whoever is told of its end,
although the one who asked for it got an error long ago. It knows no orchestrator and no SQL.
"""

from collections.abc import Awaitable, Callable

from gateway.news import News, SessionRemoved


class Removals:
    def __init__(
        self, take: Callable[[News], None], remove_row: Callable[[str], Awaitable[None]]
    ) -> None:
        self._take = take
        self._remove_row = remove_row
        self._due: set[str] = set()

    def gone(self, session_id: str) -> None:
        self._take(SessionRemoved(session_id))
        self._due.add(session_id)

    async def finish(self) -> None:
        """Remove the rows; raises GatewayError, and what is left then is for the next time."""
        for session_id in tuple(self._due):
            await self._remove_row(session_id)
            self._due.discard(session_id)
