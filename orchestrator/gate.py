"""Lets starts in while there is room, and makes room where that is the rule.

`admission` decides; here its facts are gathered and what it decides is done. A start that was let
in counts from that moment on, so no two are let into the same room.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio

from orchestrator import admission
from orchestrator.admission import Admit, Allowance, Refuse, Running, StopFirst
from orchestrator.containers import Order, Room, State
from orchestrator.engines.base import Engine
from orchestrator.errors import OrchestratorError

# Stopping what is frozen takes about a second; a minute's worth of them is a machine in trouble.
_LONGEST_WAIT_S = 60.0
_SHORT = "It was stopped because the machine was short of memory, as the one frozen for longest."


class Gate:
    """`running` tells what runs now, spares included; `stop_first` stops one of these to make room
    and says whether it could be."""

    def __init__(
        self,
        engine: Engine,
        allowance: Allowance,
        running: Callable[[], Iterable[Running]],
        stop_first: Callable[[str, str], Awaitable[bool]],
    ) -> None:
        self._engine = engine
        self._allowance = allowance
        self._running = running
        self._stop_first = stop_first
        self._admitted: dict[str, str] = {}
        self._asking = 0

    @asynccontextmanager
    async def admitted(self, order: Order, spare: str | None) -> AsyncIterator[None]:
        """Hold room for one start, which may take a spare's. Raises OrchestratorError."""
        self._asking += 1
        try:
            with anyio.move_on_after(_LONGEST_WAIT_S):
                await self._admit(order, spare)
        finally:
            self._asking -= 1
        if order.session_id not in self._admitted:
            raise OrchestratorError(
                "no_room", "Room for one more container was not made in time.", retry_after_s=30.0
            )
        try:
            yield
        finally:
            del self._admitted[order.session_id]

    async def may_refill(self) -> bool:
        """Whether the pool may make one more spare now; never in the room that was just made for
        somebody who asks."""
        room = await self._engine.room()
        if self._asking:
            return False
        running = self._counted(None)
        return admission.may_refill(self._allowance, running, room, _expected(running))

    async def relieve(self) -> None:
        """Stop what is missed least, one at a time, while the machine has less memory to spare than
        it is to keep: containers grow long after they were let in."""
        while True:
            room = await self._engine.room()
            key = admission.relief(self._allowance, self._counted(None), room)
            if key is None or not await self._stop_first(key, _SHORT):
                return

    async def _admit(self, order: Order, spare: str | None) -> None:
        kept: set[str] = set()
        while True:
            room = await self._engine.room()
            # From here to the note that it was admitted nothing is awaited.
            counted = self._counted(order.session_id)
            if spare not in {each.key for each in counted}:
                spare = None  # another start has taken it meanwhile
            running = [
                # Who does not give way runs on, and is not asked again.
                replace(each, state=State.READY, busy=True) if each.key in kept else each
                for each in counted
                if each.key != spare
            ]
            expected = _expected(running)
            if spare is not None:  # it has the memory already that its session will use
                room = Room(room.total_bytes, room.available_bytes + expected)
            match admission.decide(self._allowance, running, room, order.user_id, expected):
                case Admit():
                    self._admitted[order.session_id] = order.user_id
                    return
                case Refuse(code, sentence, retry_after_s):
                    raise OrchestratorError(code, sentence, retry_after_s=retry_after_s)
                case StopFirst(key, why):
                    if not await self._stop_first(key, why):
                        kept.add(key)

    def _counted(self, session_id: str | None) -> list[Running]:
        """What runs, and what was let in and has not begun to."""
        running = {each.key: each for each in self._running() if each.key != session_id}
        for key, user_id in self._admitted.items():
            running.setdefault(key, Running(key, user_id, State.STARTING, None))
        return list(running.values())


def _expected(running: Iterable[Running]) -> int:
    ready = (each for each in running if each.state is State.READY)
    return admission.expected_bytes(each.memory_bytes for each in ready if each.memory_bytes)
