"""The warm pool: containers that have booted as nobody's, so that a new session need not wait.

A spare is written down before it is made and claimed at most once; what is written down here and
claimed by nobody may be deleted, nothing else. It is refilled one at a time, only where there is
room and no session's start waits; an image that fails is tried ever more seldom.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import anyio

from orchestrator.containers import Observation, Order, Spec, name_of, spare_key
from orchestrator.engines.base import Engine, EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.server import NotReady
from orchestrator.starting import Starter, StartFailed
from orchestrator.store import Store
from orchestrator.terms import Wish

logger = logging.getLogger(__name__)
_LOOK_EVERY_S = 30.0
_LONGEST_PAUSE_S = 300.0
_HEALTH_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Spare:
    """A container that answers and is nobody's."""

    key: str
    volume: str
    live: Observation


@dataclass(slots=True, eq=False)
class _Making:
    """A spare that is being made, and can be given up."""

    key: str
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    over: anyio.Event = field(default_factory=anyio.Event)

    async def give_up(self) -> None:
        self.scope.cancel()
        await self.over.wait()


class Pool:
    """`may_refill` tells whether there is room for one more, `place` holds one among the starts."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        starter: Starter,
        wish: Wish,
        may_refill: Callable[[], Awaitable[bool]],
        place: Callable[[str], AbstractAsyncContextManager[None]],
    ) -> None:
        self._engine = engine
        self._store = store
        self._starter = starter
        self._wish = wish
        self._may_refill = may_refill
        self._place = place
        self._ready: dict[str, Spare] = {}
        self._making: _Making | None = None
        self._inherited: dict[str, str] = {}
        self._leaving: dict[str, str] = {}
        self._failures = 0
        self._wanted = anyio.Event()
        self._closed = False

    @property
    def size(self) -> int:
        return self._wish.size if self._engine.has_spares and not self._closed else 0

    @property
    def spares(self) -> list[Spare]:
        return list(self._ready.values())

    def tended(self) -> set[str]:
        """The keys of all spares that are looked after, also while they are made or removed."""
        making = {self._making.key} if self._making else set()
        return {*self._ready, *self._inherited, *self._leaving, *making}

    def offer(self, order: Order) -> str | None:
        """The key of a spare that is what the order asks for, if there is one."""
        if (order.image, order.limits) != (self._wish.image, self._wish.limits):
            return None
        return next(iter(self._ready), None)

    def take(self, order: Order) -> Spare | None:
        """Take what is offered; it is the caller's from now on, whatever becomes of it."""
        key = self.offer(order)
        if key is None:
            return None
        self._wanted.set()
        return self._ready.pop(key)

    def put_back(self, spare: Spare) -> None:
        """It was taken, and nothing was done with it."""
        self._ready[spare.key] = spare

    async def remember(self) -> None:
        """Know the spares of an earlier run, before anybody takes them for strays."""
        self._inherited = await self._store.spares()

    async def run(self) -> None:
        """Take over what an earlier run left, then keep the pool filled until cancelled."""
        if not await self._recovered():
            return
        while True:
            pause_s = await self._refill()
            with anyio.move_on_after(pause_s):
                await self._wanted.wait()
            self._wanted = anyio.Event()

    async def look(self, key: str) -> None:
        """The engine saw something happen to a spare."""
        spare = self._ready.get(key)
        if spare is not None:
            seen = await self._engine.find(key)
            if seen is None or not seen.running or seen.frozen or seen.boot != spare.live.boot:
                await self.remove(key)

    async def remove(self, key: str) -> bool:
        """Remove a spare that nobody has claimed, be it half made, with its volume; False if it is
        not there."""
        if self._making is not None and self._making.key == key:
            await self._making.give_up()
        elif (spare := self._ready.pop(key, None)) is not None:
            self._leaving[key] = spare.volume
            self._wanted.set()
        else:
            return False
        await self._clear_away()
        return True

    async def aclose(self) -> None:
        """Remove every spare: the program is the whole deployment and ends."""
        self._closed = True
        if self._making is not None:
            await self._making.give_up()
        self._leaving |= self._inherited | {each.key: each.volume for each in self.spares}
        self._inherited, self._ready = {}, {}
        await self._clear_away()

    async def _refill(self) -> float:
        """Make spares until there are enough; return for how long there is nothing to do."""
        try:
            await self._clear_away()
            await self._retire()
            while len(self._ready) < self.size:
                if not await self._may_refill() or self._closed:
                    return _LOOK_EVERY_S
                await self._make()
                self._failures = 0
        except (StartFailed, EngineError, OrchestratorError) as error:
            self._failures += 1
            pause_s = min(_LONGEST_PAUSE_S, 2.0**self._failures)
            logger.warning("no spare made, tried again in %g s: %s", pause_s, error)
            return pause_s
        return _LOOK_EVERY_S

    async def _make(self) -> None:
        making = self._making = _Making(spare_key(secrets.token_hex(16)))
        try:
            with making.scope:
                async with self._place(making.key):
                    await self._boot(making.key)
        finally:
            self._making = None
            making.over.set()

    async def _boot(self, key: str) -> None:
        volume, wish, fingerprint = name_of(key), self._wish, await self._fingerprint()
        spec = Spec(key, volume, 0, wish.image, wish.limits, secrets.token_hex(16), fingerprint)
        await self._store.add_spare(key, volume)
        try:
            live = await self._starter.make_spare(spec)
        except BaseException:
            self._leaving[key] = volume
            raise
        self._ready[key] = Spare(key, volume, live)
        logger.info("spare ready container=%s", name_of(key))

    async def _retire(self) -> None:
        """Remove spares that are no longer what a container would be made of."""
        if self._ready:
            fingerprint = await self._fingerprint()
            for spare in self.spares:
                if spare.live.fingerprint != fingerprint:
                    await self.remove(spare.key)

    async def _recovered(self) -> bool:
        while True:
            try:
                for key, volume in list(self._inherited.items()):
                    await self._recover(key, volume)
                    self._inherited.pop(key, None)
            except (EngineError, OrchestratorError) as error:
                logger.warning("spares not looked for yet: %s", error)
                await anyio.sleep(_LOOK_EVERY_S)
            else:
                return self.size > 0

    async def _recover(self, key: str, volume: str) -> None:
        seen = await self._engine.find(key)
        if self.size > 0 and seen is not None and await self._serves(seen):
            self._ready[key] = Spare(key, volume, seen)
        else:
            self._leaving[key] = volume
            await self._clear_away()

    async def _serves(self, seen: Observation) -> bool:
        server = self._starter.server(seen) if seen.running and not seen.frozen else None
        if server is None:
            return False
        try:
            await server.check_health(_HEALTH_TIMEOUT_S)
        except NotReady:
            return False
        return True

    async def _clear_away(self) -> None:
        """Remove what is to leave; what can't be removed now is tried again at the next turn."""
        for key, volume in list(self._leaving.items()):
            await self._engine.remove(key)
            await self._engine.remove_volume(volume)
            await self._store.forget_spare(key)
            self._leaving.pop(key, None)

    async def _fingerprint(self) -> str:
        return await self._engine.fingerprint(self._wish.image, self._wish.limits)
