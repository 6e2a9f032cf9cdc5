"""What engines that have spares promise of one that becomes a session's."""

import secrets
from contextlib import aclosing

import anyio
import pytest

from orchestrator.containers import Identity, Observation
from orchestrator.engines.base import EngineError
from tests.orchestrator.asking import (
    STAYS,
    created,
    printed,
    started,
    volume_of,
)
from tests.orchestrator.engines import Bench

pytestmark = pytest.mark.parametrize(
    "bench", ["fake", pytest.param("docker", marks=pytest.mark.docker)], indirect=True
)
IDENTITY = Identity('{"model": "of `one`\\\\n $HOME %s"}', ())


@pytest.fixture
async def running(bench: Bench, spare: str) -> Observation:
    assert bench.engine.has_spares
    return await started(bench.engine, spare)


async def test_a_claimed_spare_is_the_sessions_and_nothing_else_changed(
    bench: Bench, key: str, spare: str, running: Observation
) -> None:
    seen = await bench.engine.claim(spare, key, IDENTITY)

    assert (seen.key, seen.container_id, seen.nonce) == (key, running.container_id, running.nonce)
    assert (seen.boot, seen.volume, seen.running) == (running.boot, volume_of(spare), True)
    assert await bench.engine.find_all() == [seen]
    assert await bench.engine.find(spare) is None


async def test_a_spare_is_claimed_once(
    bench: Bench, key: str, spare: str, running: Observation
) -> None:
    await bench.engine.claim(spare, key, IDENTITY)

    with pytest.raises(EngineError):
        await bench.engine.claim(spare, secrets.token_hex(16), IDENTITY)


async def test_a_name_that_is_taken_is_refused_in_words(
    bench: Bench, key: str, spare: str, running: Observation
) -> None:
    await created(bench.engine, key)
    with pytest.raises(EngineError, match="There is a container"):
        await bench.engine.claim(spare, key, IDENTITY)

    there = await bench.engine.find(key)
    assert there is not None
    assert there.container_id != running.container_id


async def test_a_spare_whose_claim_failed_goes_to_nobody_else(
    bench: Bench, key: str, spare: str, running: Observation
) -> None:
    await created(bench.engine, key)
    with pytest.raises(EngineError):
        await bench.engine.claim(spare, key, IDENTITY)

    with pytest.raises(EngineError, match="did not take its agent's configuration"):
        await bench.engine.claim(spare, secrets.token_hex(16), IDENTITY)


async def test_a_claim_is_told_by_both_keys(
    bench: Bench, key: str, spare: str, running: Observation
) -> None:
    async with aclosing(bench.engine.events()) as events:
        assert await anext(events) is None
        await bench.engine.claim(spare, key, IDENTITY)
        with anyio.fail_after(1):
            told = {await anext(events), await anext(events)}
    assert told == {key, spare}


async def test_what_was_claimed_starts_again_on_the_volume_it_has(
    bench: Bench, key: str, spare: str, running: Observation
) -> None:
    await printed(bench.engine, spare, "workspace writable")
    await bench.engine.claim(spare, key, IDENTITY)
    await bench.engine.stop(key)

    await bench.engine.start(key, STAYS)
    await printed(bench.engine, key, "seen before")
