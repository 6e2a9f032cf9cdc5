"""The contract of `engines.base`, asked of every engine there is."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import anyio
import pytest

from orchestrator.containers import Environment, Limits, Observation, Spec
from orchestrator.engines.base import Engine
from tests.orchestrator import engines
from tests.orchestrator.engines import IMAGE, Bench
from tests.orchestrator.real_docker import need_docker

LIMITS = Limits(memory_bytes=256 << 20, cpus=0.5, pids=64)
STAYS = Environment({"GREETING": 'it\'s "$HOME" `here`', "OPENCODE_SERVER_PASSWORD": "p"}, ("p",))
ENDS = Environment({**STAYS.values, "END_WITH": "3"}, ("p",))


@pytest.fixture(params=["fake", "process", pytest.param("docker", marks=pytest.mark.docker)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    match request.param:
        case "fake":
            opened = engines.fake_bench()
        case "process":
            opened = engines.process_bench(tmp_path)
        case _:
            need_docker()
            opened = engines.docker_bench()
    async with opened as bench:
        yield bench


@pytest.fixture
def key() -> str:
    return secrets.token_hex(16)


async def created(engine: Engine, key: str) -> Observation:
    fingerprint = await engine.fingerprint(IMAGE, LIMITS)
    spec = Spec(key, volume_of(key), 1, IMAGE, LIMITS, "a-nonce", fingerprint)
    return await engine.create(spec)


def volume_of(key: str) -> str:
    """Not its container's name: a claimed spare's volume has another one, too."""
    return f"volume-{key}"


async def started(engine: Engine, key: str, environment: Environment = STAYS) -> Observation:
    await created(engine, key)
    return await engine.start(key, environment)


T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], fits: Callable[[T], bool]) -> T:
    """Look until it fits. What a container prints, and when, no engine tells by event."""
    with anyio.fail_after(10):
        while not fits(found := await look()):  # noqa: ASYNC110
            await anyio.sleep(0.02)
    return found


async def printed(engine: Engine, key: str, line: str) -> list[str]:
    """Wait until a container has printed a line; return all it printed."""
    return await eventually(lambda: engine.last_lines(key), lambda lines: line in lines)


async def ended(engine: Engine, key: str) -> Observation:
    def has_ended(seen: Observation | None) -> bool:
        return seen is not None and not seen.running

    seen = await eventually(lambda: engine.find(key), has_ended)
    assert seen is not None
    return seen


async def test_what_is_created_is_shown_and_does_not_run(bench: Bench, key: str) -> None:
    seen = await created(bench.engine, key)

    assert (seen.running, seen.address, seen.nonce) == (False, None, "a-nonce")
    assert seen.fingerprint == await bench.engine.fingerprint(IMAGE, LIMITS)
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
    await bench.stranger.stop(key)
    await bench.stranger.remove(key)
    await bench.stranger.remove_volume(volume_of(key))
    assert await bench.engine.find(key) == seen
