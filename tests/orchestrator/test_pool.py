"""Containers that have booted as nobody's: claimed once, refilled with care, found again."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import partial

import anyio
import pytest

from orchestrator.admission import Allowance
from orchestrator.containers import Limits, Record, Room, Spec, State, is_spare, name_of, spare_key
from orchestrator.engines.base import EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.pool import Pool
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor
from tests.orchestrator.conftest import (
    LIMITS,
    SELDOM,
    SESSION,
    Run,
    Stopwatch,
    order,
    starting,
    terms,
)
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.fake_opencode import Manner
from tests.support.waiting import until

OTHER = "6" * 32
ONE = terms(spares=1)


def spares(engine: FakeEngine) -> list[str]:
    return [key for key in engine.containers if is_spare(key)]


async def until_filled(supervisor: Supervisor, size: int = 1) -> None:
    async def is_filled() -> bool:
        return len(supervisor._pool.spares) == size

    await until(is_filled, f"there are {size} spares", within_s=5)


@asynccontextmanager
async def pooling(engine: FakeEngine, store: Store) -> AsyncIterator[Pool]:
    """A pool that does nothing by itself."""

    async def may_refill() -> bool:
        return True

    async with starting(engine) as starter:
        wish = terms(spares=1).spares
        yield Pool(engine, store, starter, wish, may_refill, lambda _: nullcontext())


async def test_a_new_session_takes_a_spare_with_its_volume_and_starts_nothing(
    run: Run, engine: FakeEngine
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        spare = supervisor._pool.spares[0]
        engine.hold("create")  # the pool's next one
        record = await supervisor.ensure(order(), force=False)
        view = supervisor.view(SESSION)

    assert (record.state, record.volume, record.claimed) == (State.READY, spare.volume, None)
    assert (record.container_id, engine.calls["start"]) == (spare.live.container_id, 1)
    assert view["volume"] == name_of(spare.key)
    assert view["container"] == f"agent_{SESSION}"


async def test_a_claimed_spare_is_told_of_its_agent_and_drops_what_it_had_loaded(
    run: Run, engine: FakeEngine
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        before = len(engine.server(supervisor._pool.spares[0].key).asked)
        await supervisor.ensure(order(), force=False)
        container = engine.containers[SESSION]

        asked = engine.server(SESSION).asked[before:]
    assert container.identity is not None
    assert "sk-secret" in container.identity.configuration
    assert asked[:2] == ["POST /global/dispose", "GET /config"]


async def test_a_claim_tells_its_timings_and_is_counted_apart(run: Run, engine: FakeEngine) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        await supervisor.ensure(order(), force=False)

        assert 'start_seconds_count{kind="claimed",phase="ready"} 1' in supervisor.metrics()
        assert supervisor.view(SESSION)["timings"]["ready_s"] is not None


async def test_of_many_at_once_only_one_gets_the_spare(run: Run, engine: FakeEngine) -> None:
    async with run(ONE) as supervisor, anyio.create_task_group() as group:
        await until_filled(supervisor)
        spare = supervisor._pool.spares[0]
        for number in range(5):
            each = order(f"{number:032x}")
            group.start_soon(partial(supervisor.ensure, each, force=False))

    volumes = [record.volume for record in await supervisor._store.load()]
    assert volumes.count(spare.volume) == 1
    assert len(set(volumes)) == 5


@pytest.mark.parametrize("other", [order(image="other"), order(limits=Limits(2 << 30, 2.0, 99))])
async def test_what_a_spare_is_not_made_of_starts_cold(
    run: Run, engine: FakeEngine, other: object
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        await supervisor.ensure(other, force=False)  # type: ignore[arg-type]

        assert (engine.calls["claim"], len(supervisor._pool.spares)) == (0, 1)


async def test_who_has_a_volume_starts_on_it_and_takes_no_spare(
    run: Run, engine: FakeEngine
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        await supervisor.stop(SESSION)
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        record = await supervisor.ensure(order(), force=False)

    assert (record.volume, engine.calls["claim"]) == (f"agent_{SESSION}", 0)


@pytest.mark.parametrize("failing", ["claim", Manner.BROKEN, Manner.DEAF])
async def test_a_claim_that_fails_starts_cold_on_its_volume_and_leaves_no_spare(
    run: Run, engine: FakeEngine, store: Store, failing: str | Manner
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        spare = supervisor._pool.spares[0]
        if isinstance(failing, Manner):
            engine.server(spare.key).manner = failing
        else:
            engine.refuse(failing, EngineError("It did not take it."))
        record = await supervisor.ensure(order(), force=False)

        assert (record.state, record.volume, record.claimed) == (State.READY, spare.volume, None)
        assert engine.containers[SESSION].seen.container_id != spare.live.container_id
        assert spare.key not in engine.containers
        assert spare.key not in await store.spares()
        assert 'event="claim_failed",why="container_failed"} 1' in supervisor.metrics()


async def test_a_claim_that_can_not_be_written_down_gives_the_spare_back(
    run: Run, engine: FakeEngine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_: Record) -> None:
        raise OrchestratorError("storage_unavailable", "The disk is full.")

    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        spare = supervisor._pool.spares[0]
        with monkeypatch.context() as now:
            now.setattr(store, "save", full)
            with pytest.raises(OrchestratorError, match="The disk is full"):
                await supervisor.ensure(order(), force=False)
        assert supervisor._pool.spares == [spare]

        assert (await supervisor.ensure(order(), force=False)).volume == spare.volume


async def test_spares_are_made_one_at_a_time(run: Run, engine: FakeEngine) -> None:
    engine.hold("start")
    async with run(terms(spares=3)) as supervisor:
        await engine.reached("start")
        assert len(spares(engine)) == 1

        engine.release("start")
        await until_filled(supervisor, 3)


async def test_no_spare_is_made_without_room(run: Run, engine: FakeEngine) -> None:
    engine.memory = Room(8 << 30, 100 << 20)
    async with run(ONE) as supervisor:

        async def has_asked() -> bool:
            return engine.calls["room"] > 0

        await until(has_asked, "the room is asked for", within_s=5)
        assert (spares(engine), supervisor._pool.spares) == ([], [])


async def test_no_spare_is_made_while_somebody_waits_for_a_start(
    run: Run, engine: FakeEngine
) -> None:
    engine.hold("create")
    async with run(terms(starts_at_once=1)) as supervisor, anyio.create_task_group() as group:
        for each in (order(), order(OTHER)):
            group.start_soon(partial(supervisor.ensure, each, force=False))
        await engine.reached("create")

        async def one_waits() -> bool:
            return supervisor._queue.waiting == 1

        await until(one_waits, "the second one waits", within_s=5)
        assert not await supervisor._may_refill()
        engine.release("create")


async def test_an_image_that_fails_is_tried_ever_more_seldom(
    engine: FakeEngine, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    engine.refuse("start", EngineError("The image is broken."))
    async with pooling(engine, store) as pool:
        pauses = [await pool._refill() for _ in range(10)]
        assert len(spares(engine)) == 1

        engine.relent("start")
        assert (await pool._refill(), len(pool.spares)) == (30, 1)
        assert len(spares(engine)) == len(engine.written) == len(await store.spares()) == 1
    assert pauses == [2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    assert "no spare made, tried again in 2 s: The image is broken." in caplog.text


async def test_a_spare_that_ends_is_removed_with_its_volume_and_another_made(
    run: Run, engine: FakeEngine
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        first = supervisor._pool.spares[0]
        await engine.kill(first.key)

        async def is_another() -> bool:
            return [each.key for each in supervisor._pool.spares] not in ([], [first.key])

        await until(is_another, "another spare is ready", within_s=5)
    assert first.key not in engine.containers
    assert first.volume not in engine.written


async def test_a_spare_that_somebody_else_started_again_is_removed(
    run: Run, engine: FakeEngine
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        [spare] = supervisor._pool.spares
        container = engine.containers[spare.key]
        container.seen = replace(container.seen, boot="another boot")
        await supervisor._pool.look(spare.key)

        assert (spare.key in engine.containers, spare.volume in engine.written) == (False, False)


async def test_a_spare_on_its_way_to_a_session_is_no_stray(run: Run, engine: FakeEngine) -> None:
    engine.hold("claim")
    async with run(ONE) as supervisor, anyio.create_task_group() as group:
        await until_filled(supervisor)
        group.start_soon(partial(supervisor.ensure, order(), force=False))
        await engine.reached("claim")
        for _ in range(3):
            await supervisor._rounds.look_at_all()
        engine.release("claim")

    assert (supervisor.record(SESSION).state, engine.calls["remove"]) == (State.READY, 0)


async def test_a_spare_makes_room_for_a_start_that_can_not_use_it(
    run: Run, engine: FakeEngine
) -> None:
    limited = terms(spares=1, allowance=Allowance(1, 0, 0, 0, 0))
    async with run(limited) as supervisor:
        await until_filled(supervisor)
        record = await supervisor.ensure(order(image="other"), force=False)

        assert (record.state, spares(engine)) == (State.READY, [])


async def test_even_a_spare_that_is_being_made_makes_room(run: Run, engine: FakeEngine) -> None:
    engine.hold("create")
    limited = terms(spares=1, allowance=Allowance(1, 0, 0, 0, 0))
    async with run(limited) as supervisor:
        await engine.reached("create")
        key = next(iter(supervisor._pool.tended()))
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: supervisor.ensure(order(), force=False))

            async def is_gone() -> bool:
                return key not in supervisor._pool.tended()

            await until(is_gone, "the spare has given way", within_s=5)
            engine.release("create")

        assert supervisor.record(SESSION).state is State.READY
        assert list(engine.containers) == [SESSION]


async def test_the_next_run_finds_the_spares_again(
    run: Run, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        before = supervisor._pool.spares[0]
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        await supervisor._rounds.look_at_all()
        after = supervisor._pool.spares[0]

    assert (after.key, after.live, engine.calls["start"]) == (before.key, before.live, 1)
    assert not [each for each in caplog.records if each.levelno > logging.INFO]


async def test_while_spares_are_looked_for_they_are_nobodys_strays(
    run: Run, engine: FakeEngine
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        key = supervisor._pool.spares[0].key
    engine.server(key).freeze()  # it takes its time to answer
    async with run(ONE) as supervisor:
        for _ in range(3):
            await supervisor._rounds.look_at_all()
        engine.server(key).thaw()
        await until_filled(supervisor)

        assert supervisor._pool.spares[0].key == key


async def test_the_next_run_retires_spares_of_another_image(
    run: Run, engine: FakeEngine, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        old = supervisor._pool.spares[0]

    async def newer(*_: object) -> str:
        return "a newer image"

    monkeypatch.setattr(engine, "fingerprint", newer)
    async with run(ONE) as supervisor:

        async def is_new() -> bool:
            fingerprints = [each.live.fingerprint for each in supervisor._pool.spares]
            return fingerprints == ["a newer image"]

        await until(is_new, "the spare is of the newer image", within_s=5)
    assert (old.key in engine.containers, old.volume in engine.written) == (False, False)


@pytest.mark.parametrize("end", ["killed", "lost", "not wanted"])
async def test_the_next_run_clears_away_spares_that_are_of_no_use(
    run: Run, engine: FakeEngine, store: Store, end: str
) -> None:
    async with run(ONE) as supervisor:
        await until_filled(supervisor)
        old = supervisor._pool.spares[0]
    if end == "killed":
        await engine.kill(old.key)
    elif end == "lost":
        await engine.lose(old.key)
    async with run(terms(spares=0)):

        async def is_clear() -> bool:
            return not await store.spares()

        await until(is_clear, "no spare is left", within_s=5)
    assert (engine.containers, engine.written) == ({}, {})


async def test_a_spare_that_was_being_made_when_the_run_ended_is_cleared_away_by_the_next(
    run: Run, engine: FakeEngine, store: Store
) -> None:
    engine.hold("start")
    async with run(ONE):
        await engine.reached("start")
    engine.release("start")
    [half] = await store.spares()
    async with run(ONE) as supervisor:
        await until_filled(supervisor)

    assert half not in engine.containers
    assert len(engine.written) == 1


async def test_an_engine_without_spares_gets_none(run: Run, engine: FakeEngine) -> None:
    engine.has_spares = False
    async with run(ONE) as supervisor:
        await supervisor.ensure(order(), force=False)

    assert (spares(engine), engine.calls["claim"]) == ([], 0)


@pytest.mark.parametrize("making", [False, True])
async def test_the_end_of_the_deployment_leaves_no_spare(
    run: Run, engine: FakeEngine, store: Store, making: bool
) -> None:
    if making:
        engine.hold("start")
    async with run(ONE) as supervisor:
        await (engine.reached("start") if making else until_filled(supervisor))
        await supervisor.stop_all()
        await anyio.lowlevel.checkpoint()

        assert (engine.containers, engine.written, await store.spares()) == ({}, {}, {})


@pytest.mark.parametrize("renamed", [False, True])
async def test_a_claim_that_was_cut_off_is_cleared_away_and_its_volume_kept(
    run: Run, engine: FakeEngine, store: Store, renamed: bool
) -> None:
    engine.hold("claim")
    with anyio.CancelScope() as crash:
        async with run(ONE) as supervisor, anyio.create_task_group() as group:
            await until_filled(supervisor)
            spare = supervisor._pool.spares[0]
            engine.hold("create")  # no other spare
            group.start_soon(lambda: supervisor.ensure(order(), force=False))
            await engine.reached("claim")
            crash.cancel()
    if renamed:
        engine.containers[SESSION] = engine.containers.pop(spare.key)
        engine.containers[SESSION].seen = replace(engine.containers[SESSION].seen, key=SESSION)
    engine.release("claim")
    [record] = await store.load()
    assert (record.state, record.claimed) == ("starting", spare.key)
    assert spare.key not in await store.spares()

    async with run() as supervisor:
        found = supervisor.record(SESSION)
        assert (found.state, found.volume, found.claimed) == (State.STOPPED, spare.volume, None)
        assert (engine.containers, list(engine.written)) == ({}, [spare.volume])
        engine.release("create")

        record = await supervisor.ensure(order(), force=False)
    assert (record.state, record.volume) == (State.READY, spare.volume)


async def test_a_session_that_is_deleted_during_its_claim_leaves_nothing(
    run: Run, engine: FakeEngine, store: Store
) -> None:
    engine.hold("claim")
    async with run(ONE) as supervisor, anyio.create_task_group() as group:
        await until_filled(supervisor)
        engine.hold("create")

        async def expect_removing() -> None:
            with pytest.raises(OrchestratorError, match="being deleted"):
                await supervisor.ensure(order(), force=False)

        group.start_soon(expect_removing)
        await engine.reached("claim")
        await supervisor.remove(SESSION)

    assert (engine.containers, engine.written, await store.load()) == ({}, {}, [])


async def test_a_spare_of_nobodys_note_is_a_stray_whose_volume_is_kept(
    run: Run, engine: FakeEngine, stopwatch: Stopwatch
) -> None:
    key = spare_key("1" * 32)
    await engine.create(Spec(key, name_of(key), 0, "image", LIMITS, "nonce", "made"))
    async with run() as supervisor:
        await supervisor._rounds.look_at_all()
        stopwatch.pass_by(SELDOM.reconcile_s)
        await supervisor._rounds.look_at_all()

    assert (engine.containers, list(engine.written)) == ({}, [name_of(key)])
