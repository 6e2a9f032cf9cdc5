"""What Docker tells of containers while they run: who changed them, and what they use."""

import secrets
from contextlib import aclosing

import anyio
import pytest

from orchestrator.containers import Environment, Usage, name_of
from tests.orchestrator.asking import eventually, printed, started
from tests.orchestrator.engines import Bench
from tests.orchestrator.real_docker import docker

pytestmark = pytest.mark.docker


@pytest.mark.parametrize("command", ["pause", "restart"])
async def test_what_others_do_to_a_container_is_told(bench: Bench, key: str, command: str) -> None:
    await started(bench.engine, key)
    async with aclosing(bench.engine.events()) as events:
        assert await anext(events) is None
        docker(command, name_of(key))
        with anyio.fail_after(5):
            assert await anext(events) == key


async def test_a_container_that_others_gave_a_strange_name_is_gone(bench: Bench, key: str) -> None:
    await started(bench.engine, key)
    async with aclosing(bench.engine.events()) as events:
        assert await anext(events) is None
        docker("rename", name_of(key), strange := f"strange-{key}")
        with anyio.fail_after(5):
            assert await anext(events) == key

    assert (await bench.engine.find(key), await bench.engine.find_all()) == (None, [])
    docker("rm", "-f", strange)


async def test_a_tool_that_eats_all_the_memory_is_told_while_the_server_lives(
    bench: Bench, key: str
) -> None:
    async with aclosing(bench.engine.events()) as events:
        assert await anext(events) is None
        await started(bench.engine, key, Environment({"EAT_IN_CHILD": "1"}, ()))
        with anyio.fail_after(30):
            assert await anext(events) == key

    seen = await bench.engine.find(key)
    assert seen is not None
    assert seen.running


async def test_memory_that_is_held_counts_and_files_that_were_read_do_not(bench: Bench) -> None:
    holds, reads = secrets.token_hex(16), secrets.token_hex(16)
    await started(bench.engine, holds, Environment({"HOLD_MEMORY": "1"}, ()))
    await started(bench.engine, reads, Environment({"READ_FILES": "1"}, ()))
    await printed(bench.engine, reads, "read")

    def holds_much(used: Usage | None) -> bool:
        return used is not None and used.memory_bytes > 60_000_000

    await eventually(lambda: bench.engine.usage(holds), holds_much)
    used = await bench.engine.usage(reads)
    assert used is not None
    assert used.memory_bytes < 30_000_000


async def test_the_processors_seconds_grow(bench: Bench, key: str) -> None:
    await started(bench.engine, key, Environment({"HOLD_MEMORY": "1"}, ()))
    await eventually(lambda: bench.engine.usage(key), lambda used: bool(used and used.cpu_s > 0))
