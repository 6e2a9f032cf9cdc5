"""One session's record in its three places: in memory, on disk, and told to who listens.

What is intended is written down before it is meant; what has happened counts even if it can't be
written down. This module does not know which change is right: `lifecycle` makes the records.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

import anyio

from orchestrator.containers import Phase, Record
from orchestrator.errors import OrchestratorError
from orchestrator.store import Store

logger = logging.getLogger(__name__)


class Ledger:
    """The record, replaced by its owner alone."""

    def __init__(self, record: Record, store: Store, changed: Callable[[Record], None]) -> None:
        self.record = record
        self._store = store
        self._changed = changed

    async def intend(self, record: Record) -> None:
        """Write down what shall be done; if that fails, it is not begun. Whoever gives up in
        between must not leave it written down and not known."""
        try:
            await self._store.save(record)
        except anyio.get_cancelled_exc_class():
            self._become(record)  # the store finishes what it has begun
            raise
        self._become(record)

    async def note(self, record: Record) -> None:
        """Take over what has happened, then write it down."""
        self._become(record)
        try:
            await self._store.save(record)
        except OrchestratorError as error:
            logger.warning("record not stored session=%s: %s", record.session_id, error.message)

    def enter(self, phase: Phase) -> None:
        """Tell how far a start has come; only this run needs to know."""
        self._become(replace(self.record, phase=phase))

    async def erase(self) -> None:
        await self._store.delete(self.record.session_id)

    def _become(self, record: Record) -> None:
        if record.state is not self.record.state:
            logger.info(
                "container %s session=%s generation=%d: %s",
                record.state,
                record.session_id,
                record.generation,
                record.why,
            )
        self.record = record
        self._changed(record)
