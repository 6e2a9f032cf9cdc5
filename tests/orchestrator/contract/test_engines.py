"""The contract of `engines.base`, asked of every engine there is.

What is promised of frozen containers and of spares is asked in files of their own.
"""

from contextlib import aclosing

import anyio
import pytest

from orchestrator.containers import Identity
from orchestrator.engines.base import EngineError
from tests.orchestrator.asking import (
    ENDS,
    LIMITS,
    STAYS,
    created,
    ended,
    printed,
    started,
    volume_of,
)
from tests.orchestrator.engines import IMAGE, Bench


async def test_what_is_created_is_shown_and_does_not_run(bench: Bench, key: str) -> None:
    seen = await created(bench.engine, key)

    assert (seen.running, seen.address, seen.nonce) == (False, None, "a-nonce")
    assert seen.fingerprint == await bench.engine.fingerprint(IMAGE, LIMITS)
    assert seen.volume == volume_of(key)
    assert await bench.engine.find(key) == seen
    assert await bench.engine.find_all() == [seen]


async def test_what_is_started_runs_at_an_address(bench: Bench, key: str) -> None:
    seen = await started(bench.engine, key)

    assert seen.running
    assert seen.address is not None
    assert await bench.engine.find(key) == seen


async def test_the_environment_arrives_as_it_is(bench: Bench, key: str) -> None:
    await started(bench.engine, key)

    await printed(bench.engine, key, f"started with {STAYS.values['GREETING']}")


async def test_the_volume_can_be_written_and_its_home_is_no_part_of_a_repository(
    bench: Bench, key: str
) -> None:
    await started(bench.engine, key)

    lines = await printed(bench.engine, key, "*")
    assert "workspace writable" in lines


async def test_a_stopped_container_keeps_its_place_and_starts_again(bench: Bench, key: str) -> None:
    first = await started(bench.engine, key)
    await printed(bench.engine, key, "workspace writable")
    await bench.engine.stop(key)
    stopped = await bench.engine.find(key)
    assert stopped is not None
    assert (stopped.running, stopped.address) == (False, None)

    second = await bench.engine.start(key, STAYS)
    await printed(bench.engine, key, "seen before")
    assert second.container_id == first.container_id
    assert second.boot != first.boot


async def test_a_volume_outlives_its_container_until_it_is_removed_itself(
    bench: Bench, key: str
) -> None:
    await started(bench.engine, key)
    await printed(bench.engine, key, "workspace writable")
    await bench.engine.remove(key)
    await started(bench.engine, key)
    await printed(bench.engine, key, "seen before")

    await bench.engine.remove(key)
    await bench.engine.remove_volume(volume_of(key))
    await started(bench.engine, key)
    assert "seen before" not in await printed(bench.engine, key, "workspace writable")


async def test_volumes_are_listed_by_name_whether_or_not_a_container_has_them(
    bench: Bench, key: str
) -> None:
    await created(bench.engine, key)
    await bench.engine.remove(key)
    assert await bench.engine.volumes() == [volume_of(key)]

    await bench.engine.remove_volume(volume_of(key))
    assert await bench.engine.volumes() == []


async def test_only_what_runs_uses_anything(bench: Bench, key: str) -> None:
    assert await bench.engine.usage(key) is None
    await started(bench.engine, key)
    await printed(bench.engine, key, "workspace writable")
    used = await bench.engine.usage(key)
    assert used is not None
    assert (used.memory_bytes > 0, used.cpu_s >= 0) == (True, True)

    await bench.engine.stop(key)
    assert await bench.engine.usage(key) is None


async def test_the_machine_has_room(bench: Bench) -> None:
    room = await bench.engine.room()

    assert room.total_bytes > room.available_bytes > 0


async def test_stopping_and_removing_what_is_not_there_is_done(bench: Bench, key: str) -> None:
    await bench.engine.stop(key)
    await bench.engine.remove(key)
    await bench.engine.remove_volume(volume_of(key))

    assert await bench.engine.find(key) is None
    assert await bench.engine.last_lines(key) == []


async def test_what_ends_by_itself_says_how(bench: Bench, key: str) -> None:
    await started(bench.engine, key, ENDS)

    assert (await ended(bench.engine, key)).end == "It ended by itself with exit code 3."


async def test_a_kill_is_told_within_a_second(bench: Bench, key: str) -> None:
    await started(bench.engine, key)
    async with aclosing(bench.engine.events()) as events:
        assert await anext(events) is None

        await bench.kill(key)
        with anyio.fail_after(1):
            assert await anext(events) == key
    seen = await bench.engine.find(key)
    assert seen is not None
    assert (seen.running, "signal 9" in seen.end) == (False, True)


async def test_the_next_run_finds_what_runs_and_hears_of_its_end(bench: Bench, key: str) -> None:
    seen = await started(bench.engine, key)
    again = bench.again()
    assert await again.find_all() == [seen]

    async with aclosing(again.events()) as events:
        assert await anext(events) is None
        await bench.kill(key)
        with anyio.fail_after(1):
            assert await anext(events) == key
    assert not (await ended(again, key)).running


async def test_another_deployments_containers_are_neither_shown_nor_touched(
    bench: Bench, key: str
) -> None:
    seen = await started(bench.engine, key)

    assert await bench.stranger.find(key) is None
    assert await bench.stranger.find_all() == []
    assert await bench.stranger.last_lines(key) == []
    assert await bench.stranger.volumes() == []
    assert await bench.stranger.usage(key) is None
    with pytest.raises(EngineError):
        await bench.stranger.freeze(key)
    await bench.stranger.stop(key)
    await bench.stranger.remove(key)
    await bench.stranger.remove_volume(volume_of(key))
    assert await bench.engine.find(key) == seen


async def test_a_spare_that_is_not_there_can_not_be_claimed(
    bench: Bench, key: str, spare: str
) -> None:
    with pytest.raises(EngineError):
        await bench.engine.claim(spare, key, Identity("{}", ()))

    assert await bench.engine.find_all() == []


@pytest.mark.parametrize("bench", ["process"], indirect=True)
async def test_a_process_can_not_become_somebodys_while_it_runs(
    bench: Bench, key: str, spare: str
) -> None:
    await started(bench.engine, spare)
    with pytest.raises(EngineError, match="can't be started for nobody"):
        await bench.engine.claim(spare, key, Identity("{}", ()))

    assert not bench.engine.has_spares
