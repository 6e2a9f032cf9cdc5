"""Who acts: the supervisor runs while this orchestrator holds the lease, and only then.

Each time the lease is won, a new supervisor reads the records as they are then; the last one's
memory is of a time that is over. This module knows neither containers nor SQL.
"""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from orchestrator.errors import OrchestratorError
from orchestrator.lease import Lease
from orchestrator.supervisor import Supervisor

logger = logging.getLogger(__name__)
_RETRY_S = 3.0


class Office:
    """`hurry` is told that the program ends, before what runs is cancelled."""

    def __init__(
        self, lease: Lease, make: Callable[[], Supervisor], hurry: Callable[[], None]
    ) -> None:
        self._lease = lease
        self._make = make
        self._hurry = hurry
        self._acting: Supervisor | None = None

    @property
    def supervisor(self) -> Supervisor:
        """The supervisor that acts now. Raises OrchestratorError if another orchestrator does."""
        if self._acting is None or not self._lease.held:
            why = f"{self._lease.holder} This one stands by."
            raise OrchestratorError("standby", why, retry_after_s=_RETRY_S)
        return self._acting

    @property
    def acting(self) -> Supervisor | None:
        return self._acting

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Act, now or as soon as the other one has ended. Returns once it is known which."""
        settled = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(self._hold_again_and_again, settled)
            await settled.wait()
            try:
                yield
            finally:
                self._hurry()
                group.cancel_scope.cancel()
        await self._lease.give_up()

    async def _hold_again_and_again(self, settled: anyio.Event) -> None:
        while True:
            if not await self._takes():
                logger.warning("standing by: %s", self._lease.holder)
                settled.set()
                await self._lease.stand_by()
            async with anyio.create_task_group() as term:
                term.start_soon(self._act, settled)
                await self._lease.keep(self._lost)
                term.cancel_scope.cancel()

    async def _takes(self) -> bool:
        try:
            return await self._lease.take()
        except OrchestratorError as error:  # it may have been lost with the database itself
            logger.warning("lease not looked at: %s", error.message)
            return False

    async def _act(self, settled: anyio.Event) -> None:
        """Act until cancelled; while the records can't be read, try again: the lease is held."""
        while True:
            supervisor = self._make()
            try:
                async with supervisor.running():
                    self._acting = supervisor
                    settled.set()
                    await anyio.sleep_forever()
            except* OrchestratorError as failures:
                logger.warning("records not read: %s", failures.exceptions[0])
            settled.set()
            await anyio.sleep(_RETRY_S)

    def _lost(self) -> None:
        self._acting = None
        logger.error("the lease was lost, so nothing is started or stopped by this orchestrator")
