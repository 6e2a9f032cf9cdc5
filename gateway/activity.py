"""What is used through this gateway: told to the orchestrator every second, and woken if frozen.

What counts: a request other than a health poll, an exchange in flight other than an event stream,
bytes of an upgraded connection, a turn of our own chat endpoint. WebSocket's pings and pongs are
not told apart from keystrokes: OpenCode sends none, and browsers none unasked.
"""

import logging
from collections.abc import Iterable, Iterator

import anyio

from gateway.directory import Directory
from gateway.errors import GatewayError
from gateway.open_streams import is_used
from gateway.routing import State, Upstream

logger = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
_MOST_IDS = 500


class Activity:
    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._untold: set[str] = set()
        self._wanted: set[str] = set()
        self._told = ""

    async def run(self) -> None:
        """Look and report every second until cancelled."""
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            self.look()
            await self.report()

    def look(self) -> None:
        """Note what is used; ask again for those that were to be woken and are frozen still."""
        for session_id, upstream in list(self._directory.living()):
            if self.look_at(session_id, upstream):
                self._wanted.add(session_id)
        self._wanted = {wanted for wanted in self._wanted if self._sleeps(wanted)}
        if self._directory.connected:
            for session_id in self._wanted:
                self._directory.start_soon(session_id)

    def wake(self, session_id: str) -> None:
        """Have a frozen container woken, and again until it is: what waits for it is in its pipes.

        A first try may fail while the orchestrator or the engine is away.
        """
        self._wanted.add(session_id)
        self._directory.start_soon(session_id)

    def _sleeps(self, session_id: str) -> bool:
        return self._directory.place(session_id).state is State.FROZEN

    def look_at(self, session_id: str, upstream: Upstream) -> bool:
        """Whether this one was used since it was last looked at; if so, it will be reported."""
        used = is_used(upstream)
        if used:
            self._untold.add(session_id)
        return used

    async def report(self) -> None:
        """Tell the orchestrator what was used; what can't be told now is told with the next."""
        for ids in in_requests(self._untold):
            try:
                await self._directory.client.activity(ids)
            except GatewayError as error:
                self._note(error.message)
                return
            self._untold.difference_update(ids)
        self._note("")

    def _note(self, reason: str) -> None:
        if reason and reason != self._told:
            logger.warning("activity not reported reason=%r", reason)
        self._told = reason


def in_requests(session_ids: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Divide ids into as many as one request may carry."""
    ordered = sorted(session_ids)
    for at in range(0, len(ordered), _MOST_IDS):
        yield tuple(ordered[at : at + _MOST_IDS])
