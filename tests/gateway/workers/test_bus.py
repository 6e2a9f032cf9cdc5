"""A worker's end of the line to its parent, with the parent's end in the test's hands."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from gateway.news import LoginEnded, News
from gateway.workers.bus import Bus

COUNTED: dict[str, Any] = {"requests": []}


class Parent:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def says(self, message: dict[str, Any]) -> None:
        self.writer.write(json.dumps(message).encode() + b"\n")

    async def hears(self) -> dict[str, Any]:
        with anyio.fail_after(5):
            heard: dict[str, Any] = json.loads(await self._reader.readline())
        return heard


class Worker:
    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.taken: list[News] = []
        self.took = anyio.Event()

    def take(self, news: News) -> None:
        self.taken.append(news)
        self.took.set()

    async def follow(self) -> None:
        await self.bus.follow(self.take, lambda: COUNTED)


@pytest.fixture
async def line() -> AsyncIterator[tuple[Parent, Worker]]:
    ours, theirs = socket.socketpair()
    parent = Parent(*await asyncio.open_connection(sock=ours))
    worker = Worker(await Bus.open(theirs))
    async with anyio.create_task_group() as group:
        group.start_soon(worker.follow)
        yield parent, worker
        group.cancel_scope.cancel()
    parent.writer.close()
    await worker.bus.aclose()


async def test_news_of_others_is_taken_in(line: tuple[Parent, Worker]) -> None:
    parent, worker = line
    parent.says({"news": "LoginEnded", "login_id": "l"})

    with anyio.fail_after(5):
        await worker.took.wait()
    assert worker.taken == [LoginEnded("l")]


async def test_news_made_here_is_told(line: tuple[Parent, Worker]) -> None:
    parent, worker = line
    worker.bus.tell(LoginEnded("l"))

    assert await parent.hears() == {"news": "LoginEnded", "login_id": "l"}


async def test_news_that_is_not_understood_is_passed_over(
    line: tuple[Parent, Worker], caplog: pytest.LogCaptureFixture
) -> None:
    parent, worker = line
    parent.says({"news": "Eclipse"})
    parent.says({"news": "LoginEnded", "login_id": "l"})

    with anyio.fail_after(5):
        await worker.took.wait()
    assert worker.taken == [LoginEnded("l")]
    assert "'Eclipse' is not understood" in caplog.text


async def test_a_question_is_answered(line: tuple[Parent, Worker]) -> None:
    parent, _ = line
    parent.says({"ask": 3, "to": 8})

    assert await parent.hears() == {"answer": 3, "to": 8, "snapshot": COUNTED}


@pytest.mark.parametrize("first", ["asked", "answer"])
async def test_the_answers_of_all_are_gathered_in_any_order(
    line: tuple[Parent, Worker], first: str
) -> None:
    parent, worker = line
    told = [{"asked": 1, "of": 1, "gone": [{"gone": 1}]}, {"answer": 1, "snapshot": {"a": 1}}]
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(worker.bus.totals({"own": 1}))
        assert await parent.hears() == {"ask": 1, "snapshot": {"own": 1}}
        for message in told if first == "asked" else reversed(told):
            parent.says(message)

    own, *others = asking.result()
    assert own == {"own": 1}
    assert sorted(others, key=str) == [{"a": 1}, {"gone": 1}]


async def test_who_is_late_is_not_waited_for(
    line: tuple[Parent, Worker], caplog: pytest.LogCaptureFixture
) -> None:
    parent, worker = line
    parent.says({"asked": 1, "of": 2, "gone": []})
    parent.says({"answer": 1, "snapshot": {"a": 1}})
    with anyio.fail_after(5):
        told = await worker.bus.totals({"own": 1})

    parent.says({"answer": 1, "snapshot": {"late": 1}})
    parent.says({"news": "LoginEnded", "login_id": "l"})
    with anyio.fail_after(5):
        await worker.took.wait()
    assert told == [{"own": 1}, {"a": 1}]
    assert "did not tell in time" in caplog.text


async def test_the_end_of_the_parent_is_noticed(line: tuple[Parent, Worker]) -> None:
    parent, worker = line
    parent.writer.write(b'{"half": "a li')
    parent.writer.close()

    with anyio.fail_after(5):
        await worker.bus.lost.wait()
    worker.bus.tell(LoginEnded("l"))
