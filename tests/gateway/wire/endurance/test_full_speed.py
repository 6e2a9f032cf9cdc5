"""A quarter of a gibibyte each way, as fast as it goes: the memory stays flat."""

import asyncio
import tracemalloc

import pytest

from tests.support.wire import Recorded, Served, client, relaying

MIB = 1024 * 1024
SIZE = 256 * MIB
BLOCK = b"x" * (256 * 1024)
# Reads and buffers of a client, an upstream and the gateway between them.
MOST_HELD = 6 * MIB
DOWN = b"GET /down HTTP/1.1\r\nHost: a\r\n\r\n"
UP = b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


async def pour(writer: asyncio.StreamWriter) -> None:
    for _ in range(SIZE // len(BLOCK)):
        writer.write(BLOCK)
        await writer.drain()


async def swallow(reader: Recorded) -> int:
    got = 0
    while got < SIZE and (piece := await reader._reader.read(len(BLOCK))):
        got += len(piece)
    return got


async def upstream(reader: Recorded, writer: asyncio.StreamWriter) -> None:
    if (await reader.head()).startswith(b"GET"):
        writer.write(ANSWER % SIZE)
        await pour(writer)
    else:
        got = b"%d" % await swallow(reader)
        writer.write(ANSWER % len(got) + got)


async def moved(served: Served, request: bytes) -> int:
    """Return how many bytes arrived."""
    async with client(served.port) as (reader, writer):
        writer.write(request)
        if request == DOWN:
            await reader.head()
            return await swallow(reader)
        await pour(writer)
        await reader.head()
        return int(await reader.exactly(len(b"%d" % SIZE)))


async def peak_of(served: Served, request: bytes) -> int:
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        assert await moved(served, request) == SIZE
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak - before


@pytest.mark.behaviour(60)
async def test_a_long_download_takes_no_more_memory_than_its_buffers() -> None:
    async with relaying(upstream) as served:
        assert await peak_of(served, DOWN) < MOST_HELD


@pytest.mark.behaviour(37)
async def test_a_long_upload_takes_no_more_memory_than_its_buffers() -> None:
    async with relaying(upstream) as served:
        assert await peak_of(served, UP) < MOST_HELD
