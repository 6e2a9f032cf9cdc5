"""The parent's care for its workers, with workers that do nothing but what a test needs of them."""

import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import pytest

from gateway.workers import crew as crew_module
from gateway.workers import worker as worker_module
from gateway.workers.crew import Crew, WorkersError
from tests.support.waiting import until

_SERVES = """
import pathlib, signal, socket, sys
folder = pathlib.Path(sys.argv[3])
line = socket.socket(fileno=int(sys.argv[2]))
if (folder / "broken").exists():
    sys.exit(1)
if (folder / "slow").exists():
    signal.pause()
if (folder / "deaf").exists():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
line.sendall(b'{"serves": true}\\n')
if (folder / "short").exists():
    sys.exit(3)
signal.pause()
"""


class Fixture:
    """A crew of two; `folder` holds what its workers are to be when they start."""

    def __init__(self, folder: Path, log: pytest.LogCaptureFixture) -> None:
        self.folder = folder
        self._log = log

    def will_be(self, manner: str) -> None:
        (self.folder / manner).touch()

    def will_not_be(self, manner: str) -> None:
        (self.folder / manner).unlink()

    def said(self, words: str) -> list[str]:
        return [told for told in self._log.messages if words in told]

    async def says(self, words: str, times: int = 1) -> None:
        async def said() -> bool:
            return len(self.said(words)) >= times

        await until(said, f"{times} times: {words}")

    @asynccontextmanager
    async def crew(self) -> AsyncIterator[Crew]:
        async with AsyncExitStack() as stack:
            made = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
            crew = Crew([stack.enter_context(each) for each in made], self._command)
            await stack.enter_async_context(crew.serving())
            yield crew

    async def serve(self) -> None:
        async with self.crew():
            await anyio.sleep_forever()

    def _command(self, listener: int, line: int) -> Sequence[str]:
        return [sys.executable, "-c", _SERVES, str(listener), str(line), str(self.folder)]


@pytest.fixture
def workers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Fixture:
    caplog.set_level(logging.INFO, "gateway.workers")
    return Fixture(tmp_path, caplog)


async def test_every_slot_is_served_and_all_end_with_the_crew(workers: Fixture) -> None:
    async with workers.crew() as crew:
        alive = set(crew._alive)
        assert {worker.slot for worker in alive if worker.serves} == {0, 1}

    assert [worker.process.returncode for worker in alive] == [-signal.SIGTERM] * 2


async def test_workers_that_do_not_come_to_serve_end_the_crew(workers: Fixture) -> None:
    workers.will_be("broken")

    with pytest.raises(BaseExceptionGroup) as failed:
        async with workers.crew():
            pass

    assert failed.group_contains(WorkersError, match="did not come to serve")
    assert len(workers.said("worker started")) == 1


async def test_a_worker_that_ends_is_replaced_at_once(workers: Fixture) -> None:
    async with workers.crew() as crew:
        crew._current[1].process.kill()
        await workers.says("worker started", 3)

    assert workers.said("worker ended") == [
        f"worker ended slot=1 pid={workers.said('slot=1')[0].rpartition('=')[2]} code=-9"
    ]
    assert workers.said("is replaced") == ["worker is replaced slot=1 in_s=0"]


async def test_who_ends_again_and_again_is_replaced_ever_more_slowly(
    workers: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "_WAITS_S", (0.0, 0.01, 0.02))
    async with workers.crew() as crew:
        workers.will_be("short")
        crew._current[1].process.kill()
        await workers.says("is replaced", 4)
        workers.will_not_be("short")
        await workers.says("is replaced", 4)

    waits = [told.rpartition("=")[2] for told in workers.said("is replaced")]
    assert waits[:4] == ["0", "0.01", "0.02", "0.02"]


async def test_who_lasted_is_replaced_at_once_again(
    workers: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "_LONG_S", 0.0)
    async with workers.crew() as crew:
        for times in (3, 4):
            crew._current[1].process.kill()
            await workers.says("worker started", times)
            await until(partial(_serves, crew, 1), "the slot is served")

    assert workers.said("is replaced") == ["worker is replaced slot=1 in_s=0"] * 2


async def test_a_replacement_that_does_not_come_to_serve_is_tried_again(
    workers: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "_WAITS_S", (0.0, 0.01))
    async with workers.crew() as crew:
        workers.will_be("broken")
        crew._current[0].process.kill()
        await workers.says("is replaced", 2)
        workers.will_not_be("broken")

        await until(partial(_serves, crew, 0), "the slot is served")


async def test_a_reload_changes_all(workers: Fixture) -> None:
    async with workers.crew() as crew:
        before = list(crew._current)
        crew.reload_soon()
        await workers.says("reloaded")
        for worker in before:
            await worker.ended.wait()

        assert len(crew._alive) == 2
        assert not crew._alive & set(before)


async def test_reloads_that_are_asked_for_meanwhile_are_one_more(workers: Fixture) -> None:
    async with workers.crew() as crew:
        crew.reload_soon()
        await workers.says("worker started", 3)
        for _ in range(5):
            crew.reload_soon()
        await workers.says("reloaded", 2)
        await until(partial(_alive, crew, 2), "one for each slot")

    assert len(workers.said("worker started")) == 6


async def test_a_reload_asked_for_during_the_start_follows_it(workers: Fixture) -> None:
    made = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    crew = Crew(made, workers._command)
    crew.reload_soon()
    async with crew.serving():
        await workers.says("reloaded")
    for each in made:
        each.close()


async def test_a_reload_that_fails_changes_nothing(workers: Fixture) -> None:
    async with workers.crew() as crew:
        before = set(crew._alive)
        workers.will_be("broken")
        crew.reload_soon()
        await workers.says("reload failed")

        assert crew._alive == before
        workers.will_not_be("broken")
        crew.reload_soon()
        await workers.says("reloaded")


async def test_a_program_that_is_not_there_leaves_the_workers_of_before(
    workers: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with workers.crew() as crew:
        before = set(crew._alive)
        monkeypatch.setattr(sys, "executable", "/no/such/python")
        crew.reload_soon()
        await workers.says("reload failed, the workers of before go on: A worker can't be started")

        assert crew._alive == before


async def test_a_slot_that_waits_for_its_replacement_is_served_by_a_reload(
    workers: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew_module, "_WAITS_S", (0.5,))
    async with workers.crew() as crew:
        crew._current[0].process.kill()
        await workers.says("is replaced")
        crew.reload_soon()
        await workers.says("reloaded")
        await workers.says("worker started", 4)
        await until(partial(_alive, crew, 2), "one for each slot")

        assert all(worker.serves for worker in crew._current)


async def test_a_deaf_worker_is_killed(workers: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_ENDS_WITHIN_S", 0.1)
    workers.will_be("deaf")
    async with workers.crew() as crew:
        alive = set(crew._alive)

    assert [worker.process.returncode for worker in alive] == [-signal.SIGKILL] * 2


async def test_a_crew_that_is_cancelled_leaves_nobody(workers: Fixture) -> None:
    with anyio.CancelScope() as scope:
        async with workers.crew() as crew:
            alive = set(crew._alive)
            scope.cancel()
            await anyio.sleep_forever()

    assert all(worker.process.returncode is not None for worker in alive)


async def test_a_crew_that_is_cancelled_while_it_starts_leaves_nobody(workers: Fixture) -> None:
    workers.will_be("slow")
    async with anyio.create_task_group() as group:
        group.start_soon(workers.serve)
        await workers.says("worker started")
        group.cancel_scope.cancel()

    pid = int(workers.said("worker started")[0].rpartition("=")[2])
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def _serves(crew: Crew, slot: int) -> bool:
    worker = crew._current[slot]
    return worker.serves and not worker.ended.is_set()


async def _alive(crew: Crew, count: int) -> bool:
    return len(crew._alive) == count
