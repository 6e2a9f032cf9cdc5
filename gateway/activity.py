"""What is used through this gateway, told to the orchestrator every second: it must not freeze it.

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
        self._told = ""

    async def run(self) -> None:
        """Look and report every second until cancelled."""
        while True:
            await anyio.sleep(LOOK_EVERY_S)
            self.look()
            await self.report()

    def look(self) -> None:
        """Note what is used, and have woken what is used although it is frozen.

        Its first wake may have failed: the orchestrator was away, or the engine.
        """
        directory = self._directory
        for session_id, upstream in list(directory.living()):
            used = self.look_at(session_id, upstream)
            if used and directory.connected and directory.place(session_id).state is State.FROZEN:
                directory.start_soon(session_id)

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
