"""One orchestrator to a database: two would each stop and remove what the other runs.

The holder counts a beat; a stand-by takes over once it has seen no beat for a while by its own
monotonic clock, and the holder knows before that that its time is over. No two machines' clocks
are compared. This module does not know what the holder does with the lease.
"""

import hashlib
import logging
import platform
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.errors import OrchestratorError
from orchestrator.keys import read_or_make
from orchestrator.lease_row import NOBODY, LeaseRow, Tenure

logger = logging.getLogger(__name__)

_CERTAIN = 0.8  # of `lapse_s`; the rest is for clocks that run unevenly and for stopping work


def identity_of(state: Path) -> str:
    """What tells this state folder from every other, a copy of it included: where on its disk a
    file lies, and when it was put there, are not copied with it. Blocks."""
    path = state / "orchestrator.identity"
    name = read_or_make(path)
    here = path.stat()
    return hashlib.sha256(f"{name} {here.st_ino} {here.st_ctime_ns}".encode()).hexdigest()[:32]


class Lease:
    """The right to act. `identity` is the state folder's (see `identity_of`), on which no other
    process can be running: `claim` proves it. Made by `open`; close it at the end."""

    def __init__(
        self,
        url: str,
        identity: str,
        now: Callable[[], float] = anyio.current_time,
        *,
        renew_s: float = 3.0,
        lapse_s: float = 10.0,
    ) -> None:
        self._row = LeaseRow(url)
        self._identity = identity
        self._run = f"{identity}/{secrets.token_hex(8)}"
        self._now = now
        self._renew_s = renew_s
        self._lapse_s = lapse_s
        self._until: float | None = None
        self._taken_away = anyio.Event()
        self._looked = False
        self._seen: Tenure | None = None
        self._seen_at = 0.0

    @classmethod
    async def open(cls, url: str, identity: str) -> "Lease":
        # Looking up where a relative file lies blocks, so even this is a thread's work.
        return await anyio.to_thread.run_sync(cls, url, identity)

    async def aclose(self) -> None:
        await self._row.aclose()

    @property
    def held(self) -> bool:
        """Whether nobody else can hold it at this moment."""
        return self._until is not None and self._now() < self._until

    @property
    def holder(self) -> str:
        """Who held it at the last look, as a sentence."""
        if self._seen is None or self._seen.holder == NOBODY:
            return "No orchestrator is known to hold the lease."
        whose = "This" if self._seen.holder == self._run else "Another"
        since = f"{self._seen.since:%Y-%m-%d %H:%M} UTC"
        return f"{whose} orchestrator ({self._seen.host}, since {since}) holds the lease."

    async def take(self) -> bool:
        """Take the lease if it may be taken, and say whether it is held now. To be asked again and
        again: only a look that was long enough ago can tell that a holder is silent."""
        asked = self._now()
        seen = await self._row.read()
        first, self._looked = not self._looked, True
        if seen is None:
            mine = self._tenure(0)
            return await self._row.write_first(mine) and self._took(mine, asked)
        if self._may_take(seen, asked, first):
            mine = self._tenure(seen.beat + 1)
            return await self._row.replace(seen, mine) and self._took(mine, asked)
        if not self._stood_still(seen):
            self._seen, self._seen_at = seen, self._now()
        return False

    async def stand_by(self) -> None:
        """Return once the lease is held."""
        while True:
            try:
                if await self.take():
                    return
            except OrchestratorError as error:
                logger.warning("lease not looked at: %s", error.message)
            await anyio.sleep(self._renew_s)

    async def keep(self, lost: Callable[[], None]) -> None:
        """Renew the lease until it can't be; then tell `lost`, and return. By then `held` is False;
        unless the lease was taken away, nobody else can have it yet."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._renew_again_and_again)
            await self._run_out()
            self._until = None
            lost()  # first: ending a renewal that hangs may take seconds
            group.cancel_scope.cancel()

    async def give_up(self) -> None:
        """Let the next one take it at once. What it was taken for, and `keep`, have ended."""
        self._until = None
        with anyio.move_on_after(self._renew_s, shield=True):
            try:
                await self._row.free(self._run)
            except OrchestratorError as error:
                logger.warning("lease not given up, it lapses: %s", error.message)

    def _may_take(self, seen: Tenure, asked: float, first: bool) -> bool:
        if seen.holder in (NOBODY, self._run):
            return True
        if first and seen.holder.partition("/")[0] == self._identity:
            # This folder's last process, which is dead. Later it is no proof: a machine that was
            # cloned while it ran has this identity too, and the two would never come to rest.
            return True
        return self._stood_still(seen) and asked - self._seen_at >= self._lapse_s

    def _stood_still(self, seen: Tenure) -> bool:
        before = self._seen
        return before is not None and (seen.holder, seen.beat) == (before.holder, before.beat)

    def _tenure(self, beat: int) -> Tenure:
        return Tenure(self._run, beat, platform.node(), datetime.now(UTC))

    def _took(self, mine: Tenure, asked: float) -> bool:
        self._seen, self._seen_at = mine, asked
        self._taken_away = anyio.Event()
        self._until = asked + _CERTAIN * self._lapse_s
        return self.held

    async def _run_out(self) -> None:
        while self.held and not self._taken_away.is_set():
            assert self._until is not None
            with anyio.move_on_after(self._until - self._now()):
                await self._taken_away.wait()

    async def _renew_again_and_again(self) -> None:
        while not self._taken_away.is_set():
            await anyio.sleep(self._renew_s)
            try:
                with anyio.move_on_after(self._renew_s):  # the next try gets a new connection
                    await self._renew()
            except OrchestratorError as error:
                logger.warning("lease not renewed: %s", error.message)

    async def _renew(self) -> None:
        asked = self._now()
        if not await self._row.renew(self._run):
            self._taken_away.set()
        elif self.held:  # what was told as lost stays lost, however late the answer comes
            self._until = asked + _CERTAIN * self._lapse_s
