"""The orchestrator is killed at each step of what it does, and the next run finds its way."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from migrations import upgrade
from orchestrator.containers import State
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor
from tests.orchestrator.agreement import check_agreement
from tests.orchestrator.conftest import KEY, SELDOM, SESSION, Clock, order, starting, terms
from tests.orchestrator.fake_engine import FakeEngine
from tests.support.waiting import until


class Kill:
    """Ends everything at the step `at`, counted from the moment it is armed: each thing that is
    asked of the engine is one, and each thing that is written down is two, before and after."""

    def __init__(self, at: int) -> None:
        self._left = at
        self.armed = False
        self.done = False
        self.scope = anyio.CancelScope()

    async def step(self) -> None:
        if not self.armed:
            return
        self._left -= 1
        if self._left == 0:
            self.done, self.armed = True, False
            self.scope.cancel()
        if self.done:
            await anyio.sleep_forever()


class Watched(FakeEngine):
    def __init__(self, kill: Kill) -> None:
        super().__init__()
        self.kill_at = kill

    async def _called(self, method: str) -> None:
        await self.kill_at.step()
        await super()._called(method)


class WatchedStore(Store):
    kill_at: Kill

    async def save(self, record: Any) -> None:
        await self._between(super().save(record))

    async def delete(self, session_id: str) -> None:
        await self._between(super().delete(session_id))

    async def add_spare(self, key: str, volume: str) -> None:
        await self._between(super().add_spare(key, volume))

    async def forget_spare(self, key: str) -> None:
        await self._between(super().forget_spare(key))

    async def _between(self, writing: Awaitable[None]) -> None:
        try:
            await self.kill_at.step()
        except BaseException:
            writing.close()  # type: ignore[attr-defined]
            raise
        await writing
        await self.kill_at.step()


@asynccontextmanager
async def running(engine: FakeEngine, store: Store, spares: int) -> AsyncIterator[Supervisor]:
    async with starting(engine) as starter:
        rules = terms(spares=spares)
        supervisor = Supervisor(engine, store, starter, KEY, rules, Clock(), SELDOM)
        async with supervisor.running():
            yield supervisor


async def start(supervisor: Supervisor, _: FakeEngine) -> None:
    await supervisor.ensure(order(), force=False)


async def fill(supervisor: Supervisor, _: FakeEngine) -> None:
    async def is_filled() -> bool:
        return bool(supervisor._pool.spares)

    await until(is_filled, "there is a spare", within_s=5)


async def freeze(supervisor: Supervisor, engine: FakeEngine) -> None:
    owner = supervisor._owners[SESSION]
    async with owner._lock:
        await engine.freeze(SESSION)
        await owner.charge.frozen("Nothing happened for long.")


async def start_and_freeze(supervisor: Supervisor, engine: FakeEngine) -> None:
    await start(supervisor, engine)
    await freeze(supervisor, engine)


async def claim_and_freeze(supervisor: Supervisor, engine: FakeEngine) -> None:
    await fill(supervisor, engine)
    await start_and_freeze(supervisor, engine)


async def stop(supervisor: Supervisor, _: FakeEngine) -> None:
    await supervisor.stop(SESSION)


async def start_and_stop(supervisor: Supervisor, engine: FakeEngine) -> None:
    await start(supervisor, engine)
    await stop(supervisor, engine)


async def remove(supervisor: Supervisor, _: FakeEngine) -> None:
    await supervisor.remove(SESSION)


Do = Callable[[Supervisor, FakeEngine], Awaitable[None]]
LIFE: list[Any] = [
    pytest.param(0, None, start, id="start"),
    pytest.param(0, start_and_stop, start, id="start again"),
    pytest.param(1, None, fill, id="make a spare"),
    pytest.param(1, fill, start, id="claim"),
    pytest.param(0, start, freeze, id="freeze"),
    pytest.param(0, start_and_freeze, start, id="wake"),
    pytest.param(0, start, stop, id="stop"),
    pytest.param(0, start_and_freeze, stop, id="stop a frozen one"),
    pytest.param(0, start, remove, id="delete"),
    pytest.param(1, claim_and_freeze, remove, id="delete a claimed and frozen one"),
    pytest.param(0, start_and_stop, remove, id="delete a stopped one"),
]


@pytest.mark.parametrize(("spares", "before", "act"), LIFE)
async def test_wherever_it_was_killed_the_next_run_leaves_nothing_half_done(
    tmp_path: Path, spares: int, before: Do | None, act: Do
) -> None:
    at, killed = 0, True
    while killed:
        at += 1
        url = f"sqlite+aiosqlite:///{tmp_path}/{at}.db"
        await upgrade(url, "orchestrator")
        store = await WatchedStore.open(url)
        assert isinstance(store, WatchedStore)
        engine = Watched(Kill(at))
        store.kill_at = engine.kill_at
        await _until_killed(engine, store, spares, before, act)
        killed = engine.kill_at.done
        engine.kill_at.armed = engine.kill_at.done = False
        await _recover(engine, store)
        await store.aclose()
        await engine.aclose()
    assert at > 3


async def _until_killed(
    engine: Watched, store: Store, spares: int, before: Do | None, act: Do
) -> None:
    with engine.kill_at.scope:
        async with running(engine, store, spares) as supervisor:
            if before is not None:
                await before(supervisor, engine)
            engine.kill_at.armed = True
            await act(supervisor, engine)
            engine.kill_at.armed = False


async def _recover(engine: FakeEngine, store: Store) -> None:
    """The next run brings all into agreement by itself, starts the session, and deletes it."""
    async with running(engine, store, spares=0) as supervisor:
        for _ in range(2):
            await supervisor._rounds.look_at_all()
            await supervisor._first_starts_settled()

        async def is_clear() -> bool:
            return not await store.spares()

        await until(is_clear, "no spare is left", within_s=5)
        await check_agreement(supervisor, engine, store)
        record = await supervisor.ensure(order(), force=True)
        assert record.state is State.READY
        await supervisor.remove(SESSION)

    assert (engine.containers, engine.written, await store.load()) == ({}, {}, [])
