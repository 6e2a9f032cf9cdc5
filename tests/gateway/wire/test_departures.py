"""Clients that leave: what becomes of their request, and who is told."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.wire.door import Answer, Decision, Wait
from tests.support.wire import Recorded, client, relaying, reset, within

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("leave", [asyncio.StreamWriter.close, reset])
async def test_client_that_leaves_before_any_answer_is_noted_as_499(
    leave: Callable[[asyncio.StreamWriter], None],
) -> None:
    asked, left = asyncio.Event(), asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        asked.set()
        try:
            await reader.rest()
        finally:
            left.set()

    async with relaying(script) as served, client(served.port) as (_, writer):
        writer.write(GET)
        await within(asked.wait())
        leave(writer)
        async with asyncio.timeout(1):
            await left.wait()

        outcome = await served.ended()
        assert (outcome.status, outcome.trouble) == (499, "client gone")
        assert outcome.first_byte is None


async def test_client_that_leaves_while_its_request_is_held_is_noted_as_499() -> None:
    held, given_up = asyncio.Event(), asyncio.Event()

    async def work() -> Decision:
        held.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()
        return Answer(200, b"")

    async with relaying(_nobody) as served, client(served.port) as (_, writer):
        served.door.chosen = lambda head: Wait(work)
        writer.write(GET)
        await within(held.wait())
        writer.close()

        assert (await served.ended()).status == 499
        await within(given_up.wait())


async def test_client_that_leaves_amid_an_answer_keeps_its_status() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 206 Part\r\nContent-Length: 9\r\n\r\nx")
        await reader.rest()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"x")
        writer.close()

        outcome = await served.ended()
        assert (outcome.status, outcome.trouble) == (206, "client gone")


async def _nobody(reader: Recorded, writer: asyncio.StreamWriter) -> None:
    raise AssertionError("no upstream is asked")
