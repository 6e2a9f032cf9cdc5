"""The parent's care for its workers: each slot is served, by one worker or by its successor.

A slot keeps its listening socket for the parent's whole life, so that a connection which waits to
be accepted outlives the worker that would have accepted it. What a worker does is not known here.
"""

import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import anyio
from anyio.abc import TaskGroup

from gateway.workers.switchboard import Switchboard
from gateway.workers.worker import Command, Worker, start

logger = logging.getLogger(__name__)

_LONG_S = 60.0
_WAITS_S = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0)


class WorkersError(Exception):
    """A worker could not be started."""


class Crew:
    """Enter `serving` before asking it for anything."""

    def __init__(self, listeners: Sequence[socket.socket], command: Command) -> None:
        self._listeners = listeners
        self._command = command
        self._switchboard = Switchboard()
        self._numbers = count(1)
        self._attending: TaskGroup | None = None
        self._caring: TaskGroup | None = None
        self._current: list[Worker] = []
        self._alive: set[Worker] = set()
        self._short_lives = [0] * len(listeners)
        self._reloads = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve while the body runs, and end every worker in order; raises WorkersError."""
        async with anyio.create_task_group() as self._attending:
            try:
                # What would start another worker ends first.
                async with anyio.create_task_group() as self._caring:
                    self._take_over(await self._fresh())
                    logger.info("workers serve count=%d", len(self._listeners))
                    if self._reloads:  # asked for while the first ones started
                        self._caring.start_soon(self._reload)
                    yield
                    self._caring.cancel_scope.cancel()
            finally:
                with anyio.CancelScope(shield=True):
                    await _end(self._alive)

    def reload_soon(self) -> None:
        """Put new workers in the place of all; asked for again meanwhile, do it once more."""
        self._reloads += 1
        if self._reloads == 1 and self._current:
            self._care().start_soon(self._reload)

    async def _reload(self) -> None:
        while self._reloads:
            asked = self._reloads
            await self._reload_once()
            self._reloads = 0 if self._reloads == asked else 1

    async def _reload_once(self) -> None:
        try:
            fresh = await self._fresh()
        except WorkersError as error:
            logger.error("reload failed, the workers of before go on: %s", error)  # noqa: TRY400
            return
        old = [worker for worker in self._current if not worker.ended.is_set()]
        self._take_over(fresh)
        logger.info("reloaded: new workers serve, old ones finish count=%d", len(old))
        await _end(old)

    async def _fresh(self) -> list[Worker]:
        """Start a worker for each slot; the first alone, since it may migrate the database."""
        fresh: list[Worker] = []
        for slots in (range(1), range(1, len(self._listeners))):
            started = [await self._start(slot) for slot in slots]
            fresh += started
            if not all([await worker.comes_to_serve() for worker in started]):
                await _end(fresh)
                raise WorkersError("A worker did not come to serve; the lines above say why.")
        return fresh

    def _take_over(self, fresh: list[Worker]) -> None:
        self._current = fresh
        for worker in fresh:
            self._replace_if_ended(worker)

    async def _start(self, slot: int) -> Worker:
        assert self._attending is not None
        try:
            # Shielded: a signal at this moment must not leave a process that nobody waits for.
            with anyio.CancelScope(shield=True):
                worker = await start(slot, self._listeners[slot], self._command)
        except OSError as error:
            raise WorkersError(f"A worker can't be started: {error.strerror}.") from error
        self._alive.add(worker)
        self._attending.start_soon(self._attend, worker)
        logger.info("worker started slot=%d pid=%d", slot, worker.process.pid)
        return worker

    async def _attend(self, worker: Worker) -> None:
        """Hear a worker to its end, and see to its slot should it end unasked."""
        number = next(self._numbers)
        self._switchboard.enter(number, worker.say)
        # Shielded: who ends the crew waits for this, and a worker is not over when we are.
        with anyio.CancelScope(shield=True):
            async for message in worker.messages():
                self._switchboard.heard(number, message)
        self._switchboard.leave(number)
        self._alive.discard(worker)
        if not worker.retired:
            logger.warning(
                "worker ended slot=%d pid=%d code=%s",
                worker.slot, worker.process.pid, worker.process.returncode,
            )  # fmt: skip
            self._replace_if_ended(worker)

    def _replace_if_ended(self, worker: Worker) -> None:
        ours = worker in self._current
        if ours and worker.ended.is_set() and not worker.retired:
            self._care().start_soon(self._replace, worker)

    async def _replace(self, ended: Worker) -> None:
        """Serve an ended worker's slot again, unless a reload does so first."""
        slot, lasted_s = ended.slot, ended.lasted_s
        while self._current[slot] is ended:
            await anyio.sleep(self._wait_s(slot, lasted_s))
            lasted_s = 0.0
            try:
                worker = await self._start(slot)
            except WorkersError as error:
                logger.error("%s", error)  # noqa: TRY400 - it is a sentence
                continue
            if await worker.comes_to_serve() and self._current[slot] is ended:
                self._current[slot] = worker
                self._replace_if_ended(worker)
            else:
                await _end([worker])

    def _wait_s(self, slot: int, lasted_s: float) -> float:
        """The longer, the more often a slot's workers ended soon after their start."""
        known = 0 if lasted_s > _LONG_S else self._short_lives[slot]
        wait_s = _WAITS_S[min(known, len(_WAITS_S) - 1)]
        self._short_lives[slot] = known + 1
        logger.warning("worker is replaced slot=%d in_s=%g", slot, wait_s)
        return wait_s

    def _care(self) -> TaskGroup:
        assert self._caring is not None, "the crew is not serving"
        return self._caring


async def _end(workers: Sequence[Worker] | set[Worker]) -> None:
    async with anyio.create_task_group() as group:
        for worker in tuple(workers):
            group.start_soon(worker.end)
