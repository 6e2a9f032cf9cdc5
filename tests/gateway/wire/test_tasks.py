"""The owner of tasks: it reports what failed, and leaves nothing running."""

import asyncio

import pytest

from gateway.wire.tasks import Tasks
from tests.support.wire import until


async def test_finished_task_is_forgotten() -> None:
    async def work() -> None:
        done.set()

    tasks, done = Tasks(), asyncio.Event()
    await tasks.start(work(), "work")

    assert done.is_set()
    assert tasks._running == set()


async def test_failure_is_logged_with_the_tasks_name(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ValueError("a defect")

    tasks = Tasks()
    tasks.start(work(), "decide")
    await until(lambda: not tasks._running)

    assert "name=decide" in caplog.text
    assert "a defect" in caplog.text


async def test_cancelled_task_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    tasks.start(asyncio.Event().wait(), "wait").cancel()  # type: ignore[arg-type]
    await until(lambda: not tasks._running)

    assert caplog.text == ""


async def test_closing_waits_for_what_ends_and_for_what_that_starts() -> None:
    ended: list[str] = []

    async def last() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("last")

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            tasks.start(last(), "last")
            await asyncio.sleep(0)
            ended.append("work")

    tasks = Tasks()
    started = tasks.start(work(), "work")
    await asyncio.sleep(0)
    await tasks.aclose()

    assert started.cancelled()
    assert ended == ["work", "last"]
