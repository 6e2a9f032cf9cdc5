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
def session_id() -> str:
    return secrets.token_hex(16)


async def created(engine: Engine, session_id: str) -> Observation:
    fingerprint = await engine.fingerprint(IMAGE, LIMITS)
    return await engine.create(Spec(session_id, 1, IMAGE, LIMITS, "a-nonce", fingerprint))


async def started(engine: Engine, session_id: str, environment: Environment = STAYS) -> Observation:
    await created(engine, session_id)
    return await engine.start(session_id, environment)


T = TypeVar("T")


async def eventually(look: Callable[[], Awaitable[T]], fits: Callable[[T], bool]) -> T:
    """Look until it fits. What a container prints, and when, no engine tells by event."""
    with anyio.fail_after(10):
        while not fits(found := await look()):  # noqa: ASYNC110
            await anyio.sleep(0.02)
    return found


async def printed(engine: Engine, session_id: str, line: str) -> list[str]:
    """Wait until a container has printed a line; return all it printed."""
    return await eventually(lambda: engine.last_lines(session_id), lambda lines: line in lines)


async def ended(engine: Engine, session_id: str) -> Observation:
    def has_ended(seen: Observation | None) -> bool:
        return seen is not None and not seen.running

    seen = await eventually(lambda: engine.find(session_id), has_ended)
    assert seen is not None
    return seen


async def test_what_is_created_is_shown_and_does_not_run(bench: Bench, session_id: str) -> None:
    seen = await created(bench.engine, session_id)

    assert (seen.running, seen.address, seen.nonce) == (False, None, "a-nonce")
    assert seen.fingerprint == await bench.engine.fingerprint(IMAGE, LIMITS)
    assert await bench.engine.find(session_id) == seen
    assert await bench.engine.find_all() == [seen]


async def test_what_is_started_runs_at_an_address(bench: Bench, session_id: str) -> None:
    seen = await started(bench.engine, session_id)

    assert seen.running
    assert seen.address is not None
    assert await bench.engine.find(session_id) == seen


async def test_the_environment_arrives_as_it_is(bench: Bench, session_id: str) -> None:
    await started(bench.engine, session_id)

    await printed(bench.engine, session_id, f"started with {STAYS.values['GREETING']}")


async def test_the_volume_can_be_written_and_its_home_is_no_part_of_a_repository(
    bench: Bench, session_id: str
) -> None:
    await started(bench.engine, session_id)

    lines = await printed(bench.engine, session_id, "*")
    assert "workspace writable" in lines


async def test_a_stopped_container_keeps_its_place_and_starts_again(
    bench: Bench, session_id: str
) -> None:
    first = await started(bench.engine, session_id)
    await printed(bench.engine, session_id, "workspace writable")
    await bench.engine.stop(session_id)
    stopped = await bench.engine.find(session_id)
    assert stopped is not None
    assert (stopped.running, stopped.address) == (False, None)

    second = await bench.engine.start(session_id, STAYS)
    await printed(bench.engine, session_id, "seen before")
    assert second.container_id == first.container_id
    assert second.boot != first.boot


async def test_a_volume_outlives_its_container_until_it_is_removed_itself(
    bench: Bench, session_id: str
) -> None:
    await started(bench.engine, session_id)
    await printed(bench.engine, session_id, "workspace writable")
    await bench.engine.remove(session_id)
    await started(bench.engine, session_id)
    await printed(bench.engine, session_id, "seen before")

    await bench.engine.remove(session_id)
    await bench.engine.remove_volume(session_id)
    await started(bench.engine, session_id)
    assert "seen before" not in await printed(bench.engine, session_id, "workspace writable")


async def test_stopping_and_removing_what_is_not_there_is_done(
    bench: Bench, session_id: str
) -> None:
    await bench.engine.stop(session_id)
    await bench.engine.remove(session_id)
    await bench.engine.remove_volume(session_id)

    assert await bench.engine.find(session_id) is None
    assert await bench.engine.last_lines(session_id) == []


async def test_what_ends_by_itself_says_how(bench: Bench, session_id: str) -> None:
    await started(bench.engine, session_id, ENDS)

    assert (await ended(bench.engine, session_id)).end == "It ended by itself with exit code 3."


async def test_a_kill_is_told_within_a_second(bench: Bench, session_id: str) -> None:
    await started(bench.engine, session_id)
    async with aclosing(bench.engine.events()) as events:
        assert await anext(events) is None

        await bench.kill(session_id)
        with anyio.fail_after(1):
            assert await anext(events) == session_id
    seen = await bench.engine.find(session_id)
    assert seen is not None
    assert (seen.running, "signal 9" in seen.end) == (False, True)


async def test_the_next_run_finds_what_runs_and_hears_of_its_end(
    bench: Bench, session_id: str
) -> None:
    seen = await started(bench.engine, session_id)
    again = bench.again()
    assert await again.find_all() == [seen]

    async with aclosing(again.events()) as events:
        assert await anext(events) is None
        await bench.kill(session_id)
        with anyio.fail_after(1):
            assert await anext(events) == session_id
    assert not (await ended(again, session_id)).running


async def test_another_deployments_containers_are_neither_shown_nor_touched(
    bench: Bench, session_id: str
) -> None:
    seen = await started(bench.engine, session_id)

    assert await bench.stranger.find(session_id) is None
    assert await bench.stranger.find_all() == []
    assert await bench.stranger.last_lines(session_id) == []
    await bench.stranger.stop(session_id)
    await bench.stranger.remove(session_id)
    await bench.stranger.remove_volume(session_id)
    assert await bench.engine.find(session_id) == seen
