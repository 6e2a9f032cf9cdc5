"""The pool: which connections are kept, for whom, and that none is left behind."""

import asyncio

import pytest

from gateway.wire.upstream import Pool, UpstreamConnection
from tests.support.wire import RawUpstream, Recorded, reset, until, upstream, within


class Listener:
    """A receiver that remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.lost = asyncio.Event()

    def upstream_bytes(self, data: bytes) -> None:
        self.heard.append(data.decode())

    def upstream_ended(self) -> None:
        self.heard.append("ended")

    def upstream_lost(self) -> None:
        self.heard.append("lost")
        self.lost.set()

    def upstream_writable(self, writable: bool) -> None:
        self.heard.append("writable" if writable else "clogged")


async def waits(reader: Recorded, writer: asyncio.StreamWriter) -> None:
    await reader.rest()


async def used(pool: Pool) -> UpstreamConnection:
    """Return a connection that has served an exchange and been given back."""
    connection = await pool.connect()
    connection.give_back()
    return connection


async def test_connection_given_back_is_taken_again() -> None:
    async with upstream(waits) as (_, pool):
        connection = await used(pool)

        assert pool.take() is connection
        assert connection.used
        assert pool.take() is None


async def test_connection_used_last_is_taken_first() -> None:
    async with upstream(waits) as (_, pool):
        first, second = await pool.connect(), await pool.connect()
        first.give_back()
        second.give_back()

        assert [pool.take(), pool.take()] == [second, first]


async def test_connection_idle_for_too_long_is_not_taken() -> None:
    async with upstream(waits) as (_, pool):
        connection = await used(pool)
        connection.idle_since -= 31

        assert pool.take() is None
        await until(lambda: not pool._open)


async def test_connection_that_the_upstream_closed_is_not_taken() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()

    go_on = asyncio.Event()
    async with upstream(script) as (_, pool):
        await used(pool)
        go_on.set()
        await until(lambda: not pool._open)

        assert pool.take() is None


async def test_no_more_than_so_many_idle_connections_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.wire.upstream._MOST_IDLE", 2)
    async with upstream(waits) as (_, pool):
        for connection in [await pool.connect() for _ in range(4)]:
            connection.give_back()

        await until(lambda: len(pool._open) == 2)
        assert len(pool._idle) == 2


async def test_paused_connection_reads_again_once_it_is_idle() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await go_on.wait()

    go_on = asyncio.Event()
    async with upstream(script) as (_, pool):
        connection = await pool.connect()
        connection.transport.pause_reading()
        connection.give_back()
        go_on.set()

        await until(lambda: not pool._open)


async def test_connection_whose_request_was_not_read_is_not_kept() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with upstream(script) as (_, pool):
        connection = await pool.connect()
        connection.transport.write(b"x" * 30_000_000)
        connection.give_back()

        assert pool.take() is None


async def test_receiver_hears_all_that_happens() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await reader.exactly(2)
        reset(writer)

    async with upstream(script) as (_, pool):
        connection, listener = await pool.connect(), Listener()
        connection.serve(listener)
        await until(lambda: listener.heard == ["hello"])
        connection.transport.write(b"go")
        await within(listener.lost.wait())

        assert listener.heard == ["hello", "lost"]


async def test_aborted_connection_tells_nobody() -> None:
    async with upstream(waits) as (_, pool):
        connection, listener = await pool.connect(), Listener()
        connection.serve(listener)
        connection.abort()
        await until(lambda: not pool._open)

        assert listener.heard == []


async def test_closed_pool_ends_the_idle_and_the_busy() -> None:
    async with upstream(waits) as (_, pool):
        await used(pool)
        busy, listener = await pool.connect(), Listener()
        busy.serve(listener)
        pool.close()
        await within(listener.lost.wait())

        assert pool.take() is None
        await until(lambda: not pool._open)


async def test_closed_pool_refuses_like_a_dead_container() -> None:
    async with upstream(waits) as (_, pool):
        pool.close()

        with pytest.raises(ConnectionRefusedError):
            await pool.connect()


async def test_connection_given_back_to_a_closed_pool_is_ended() -> None:
    async with upstream(waits) as (_, pool):
        connection = await pool.connect()
        pool.close()
        connection.give_back()
        await until(lambda: not pool._open)

        assert pool.take() is None


async def test_pool_closed_while_connecting_hands_out_nothing() -> None:
    """Closed at every step of connecting."""
    async with upstream(waits) as (_, pool):
        for turns in range(12):
            closing = Pool("closing", "127.0.0.1", pool._port)
            connecting = asyncio.get_running_loop().create_task(closing.connect())
            for _ in range(turns):
                await asyncio.sleep(0)
            closing.close()
            await asyncio.wait([connecting])

            assert connecting.exception() or connecting.result().transport.is_closing()
            await until(lambda pool=closing: not pool._open)  # type: ignore[misc]


@pytest.mark.behaviour(66)
async def test_cancelled_connects_leave_nothing_behind() -> None:
    """Cancelled at every step of connecting, before, during and right after."""
    async with upstream(waits) as (_, pool):
        for turns in range(12):
            task = asyncio.get_running_loop().create_task(pool.connect())
            for _ in range(turns):
                await asyncio.sleep(0)
            if task.done():
                task.result().abort()
            task.cancel()
            await asyncio.wait([task])

        await until(lambda: not pool._open)


@pytest.mark.behaviour(65)
async def test_pools_of_one_address_share_no_connection() -> None:
    async with upstream(waits) as (raw, pool):
        other = Pool("next generation", "127.0.0.1", pool._port)
        await used(pool)

        assert other.take() is None
        assert isinstance(raw, RawUpstream)
