"""Following one OpenCode server, so that it is known whether anything runs in it.

One subscription to all its events; what was missed while there was none is read from its lists,
and only of directories that it has loaded itself: an instance, once loaded, is never freed. What
follows from being idle is not known here.
"""

import logging
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import anyio

from orchestrator.activity import Activity
from orchestrator.events import Lines, objects, read, text
from orchestrator.server import NotReady, Server, inside
from orchestrator.work import Seen

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_STEADY_S = 10.0
_MOST_CONVERSATIONS = "500"
_ANSWER_WITHIN_S = 10.0
# OpenCode sends a heartbeat every 10 s.
_LONGEST_SILENCE_S = 35.0
_LOOK_EVERY_S = 5.0


class Watch:
    """One server's, from its boot to its end.

    `booted` is a wall-clock time between its boot and the first request that it was given: what
    changed before is known not to be loaded. `server` should have a `stream_client`. `changed` is
    called when the phrases change or `sees` does, and must not wait. `sees` is whether `activity`
    is up to date: nobody should be called idle by what was true long ago. `frozen` tells whether
    its silence means nothing.
    """

    def __init__(
        self,
        server: Server,
        booted: datetime,
        now: Callable[[], float],
        changed: Callable[[], None],
        *,
        frozen: Callable[[], bool] = lambda: False,
    ) -> None:
        self.activity = Activity(now())
        self.sees = False
        self.server = server
        self._booted_ms = int(booted.timestamp() * 1000)
        self._now = now
        self._changed = changed
        self._frozen = frozen
        self._heard = now()
        self._told: tuple[bool, list[str]] = (False, [])

    async def follow(self) -> None:
        """Keep `activity` up to date until cancelled, whatever becomes of the server. A frozen one
        is waited for as long as it is frozen."""
        pause = _FIRST_PAUSE_S
        while True:
            began = self._now()
            try:
                await self._listen_while_it_speaks()
            finally:
                self.sees = False
            self._tell()
            steady = self._now() - began >= _STEADY_S
            pause = _FIRST_PAUSE_S if steady else min(2 * pause, _LONGEST_PAUSE_S)
            await anyio.sleep(pause)

    async def _listen_while_it_speaks(self) -> None:
        """Until the stream breaks or falls silent, as one does whose other end is gone."""
        self._heard = self._now()
        async with anyio.create_task_group() as group:
            group.start_soon(self._leave_when_silent, group.cancel_scope)
            try:
                await self._listen()
            except NotReady as reason:
                logger.debug("a watch lost its server why=%s", reason.why)
            group.cancel_scope.cancel()

    async def _leave_when_silent(self, scope: anyio.CancelScope) -> None:
        while self._now() - self._heard < _LONGEST_SILENCE_S:
            await anyio.sleep(_LOOK_EVERY_S)
            if self._frozen():
                self._heard = self._now()
        logger.debug("a watch lost its server why=it fell silent")
        scope.cancel()

    async def _listen(self) -> None:
        lines = Lines()
        async with self.server.streamed("/global/event") as pieces:
            async for piece in pieces:
                self._heard = self._now()
                for line in lines.fed(piece):
                    await self._take(line)
                self._tell()

    async def _take(self, line: bytes) -> None:
        event = read(line)
        if event is None:
            return
        self.activity.happened(event, self._now())
        if event.type == "server.connected":
            # Now, not before: what happens from here on waits in the stream.
            await self._seed()
            self.sees = True

    def _tell(self) -> None:
        telling = (self.sees, self.activity.busy(self._now(), math.inf))
        if telling != self._told:
            self._told = telling
            self._changed()

    async def _seed(self) -> None:
        """Learn what was missed. What is refused is left as it was known: a workspace that can't
        be loaded runs nothing. One that does not answer in time may: then all is learnt anew."""
        loaded = self.activity.work.directories() | await self._own_directory()
        for conversation in await self._conversations():
            loaded.add(text(conversation, "directory"))
            self.activity.work.related(text(conversation, "id"), text(conversation, "parentID"))
        for directory in sorted(loaded - {""}):
            try:
                seen = await self._look(directory)
            except NotReady as reason:
                logger.debug("a directory was not looked at why=%s", reason.why)
            else:
                self.activity.seeded(seen, self._now())

    async def _own_directory(self) -> set[str]:
        try:
            return {text(await self._fetch("/path"), "directory")}
        except NotReady:
            return set()

    async def _conversations(self) -> list[dict[str, Any]]:
        """Those that changed since the boot: only these had their directories loaded."""
        query = {"start": str(self._booted_ms), "limit": _MOST_CONVERSATIONS}
        try:
            return objects(await self._fetch("/experimental/session", query))
        except NotReady:
            return []

    async def _look(self, directory: str) -> Seen:
        query = inside(directory)

        async def asked(path: str) -> Any:
            return await self._fetch(path, query)

        return Seen(
            directory,
            status=_object(await asked("/session/status")),
            permissions=objects(await asked("/permission")),
            questions=objects(await asked("/question")),
            terminals=objects(await asked("/pty")),
        )

    async def _fetch(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """NotReady if it is refused; TimeoutError, which ends the stream around it, if it hangs."""
        self._heard = self._now()  # nobody listens to the stream meanwhile
        with anyio.fail_after(_ANSWER_WITHIN_S):
            return await self.server.fetch(path, query)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
