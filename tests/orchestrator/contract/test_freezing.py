"""What every engine promises of a frozen container: it stands still, and nothing of it is lost."""

import anyio
import pytest
from anyio.abc import ByteStream

from orchestrator.containers import Address, Environment, Observation
from orchestrator.engines.base import EngineError
from tests.orchestrator.asking import (
    STAYS,
    created,
    ended,
    eventually,
    printed,
    started,
)
from tests.orchestrator.engines import Bench

# A shell's background job, which has a process group of its own.
WITH_JOB = Environment({**STAYS.values, "WITH_JOB": "1"}, ())
SERVES = Environment({**STAYS.values, "ECHO": "1"}, ())
# Whatever serves answers it: with these words, or as to a request.
WORDS = b"GET /global/health HTTP/1.1\r\n\r\n"


async def frozen(bench: Bench, key: str, environment: Environment = STAYS) -> Observation:
    await started(bench.engine, key, environment)
    await bench.engine.freeze(key)
    seen = await bench.engine.find(key)
    assert seen is not None
    return seen


async def reached(address: Address | None) -> ByteStream:
    assert address is not None

    async def connect() -> ByteStream | None:
        try:
            return await anyio.connect_tcp(address.host, address.port)
        except OSError:
            return None

    stream = await eventually(connect, lambda stream: stream is not None)
    assert stream is not None
    return stream


async def test_what_is_frozen_says_so_and_still_runs(bench: Bench, key: str) -> None:
    before = await started(bench.engine, key)
    await bench.engine.freeze(key)
    seen = await bench.engine.find(key)

    assert seen is not None
    assert (seen.running, seen.frozen, seen.end) == (True, True, "")
    assert (seen.boot, seen.address) == (before.boot, before.address)
    assert await bench.engine.find_all() == [seen]
    assert await bench.again().find(key) == seen


async def test_what_is_thawed_is_as_before(bench: Bench, key: str) -> None:
    before = await started(bench.engine, key)
    await bench.engine.freeze(key)

    assert await bench.engine.thaw(key) == before
    assert await bench.engine.find(key) == before


async def test_freezing_and_thawing_twice_is_done(bench: Bench, key: str) -> None:
    seen = await frozen(bench, key)
    await bench.engine.freeze(key)
    assert await bench.engine.find(key) == seen

    thawed = await bench.engine.thaw(key)
    assert await bench.engine.thaw(key) == thawed


async def test_an_open_connection_is_kept_and_what_was_sent_meanwhile_answered(
    bench: Bench, key: str
) -> None:
    seen = await started(bench.engine, key, SERVES)
    async with await reached(seen.address) as stream:
        await bench.engine.freeze(key)
        await stream.send(WORDS)
        with anyio.move_on_after(0.2) as silence:
            await stream.receive()
        await bench.engine.thaw(key)

        with anyio.fail_after(5):
            assert await stream.receive() != b""
    assert silence.cancelled_caught


async def test_what_is_frozen_can_be_stopped_and_started_again(bench: Bench, key: str) -> None:
    await frozen(bench, key)
    await bench.engine.stop(key)
    stopped = await bench.engine.find(key)
    assert stopped is not None
    assert (stopped.running, stopped.frozen) == (False, False)

    again = await bench.engine.start(key, STAYS)
    assert (again.running, again.frozen) == (True, False)


async def test_what_is_frozen_can_be_removed(bench: Bench, key: str) -> None:
    await frozen(bench, key)
    await bench.engine.remove(key)

    assert await bench.engine.find(key) is None


async def test_what_is_killed_while_frozen_has_ended(bench: Bench, key: str) -> None:
    await frozen(bench, key)
    await bench.kill(key)

    seen = await ended(bench.engine, key)
    assert (seen.frozen, "signal 9" in seen.end) == (False, True)


async def test_what_does_not_run_is_not_frozen_and_thawing_it_says_so(
    bench: Bench, key: str
) -> None:
    with pytest.raises(EngineError):
        await bench.engine.thaw(key)
    seen = await created(bench.engine, key)
    with pytest.raises(EngineError):
        await bench.engine.freeze(key)

    assert await bench.engine.thaw(key) == seen


async def test_what_a_frozen_container_uses_is_still_told(bench: Bench, key: str) -> None:
    await started(bench.engine, key)
    await printed(bench.engine, key, "workspace writable")
    await bench.engine.freeze(key)

    used = await bench.engine.usage(key)
    assert used is not None
    assert used.memory_bytes > 0


async def goes_on(bench: Bench, key: str, within_s: float) -> bool:
    """Whether it prints anything more."""
    before = await bench.engine.last_lines(key)
    with anyio.move_on_after(within_s):
        await eventually(lambda: bench.engine.last_lines(key), lambda lines: lines != before)
        return True
    return False


@pytest.mark.parametrize(
    "bench", ["process", pytest.param("docker", marks=pytest.mark.docker)], indirect=True
)
async def test_a_shells_background_job_stands_still_and_ends_with_the_rest(
    bench: Bench, key: str
) -> None:
    await started(bench.engine, key, WITH_JOB)
    await printed(bench.engine, key, "tick 3")
    await bench.engine.freeze(key)
    assert not await goes_on(bench, key, within_s=0.3)
    await bench.engine.thaw(key)
    assert await goes_on(bench, key, within_s=5)

    await bench.engine.stop(key)
    assert not await goes_on(bench, key, within_s=0.3)
