"""Behaviours 61 to 68: failures and their words, connections that are kept, and how all ends."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.exchange import GET, OK
from tests.support.front import Gateway, gateway
from tests.support.wire import (
    Recorded,
    client,
    plays,
    relaying,
    until,
    within,
)

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
HEAD = GET.replace(b"GET", b"HEAD")


def told(body: bytes, gw: Gateway) -> bool:
    """Whether an error's body tells what only the gateway need know."""
    inner = (b"127.0.0.1", str(gw.container.port).encode(), b"Errno", b"Traceback", b"Error:")
    return any(each in body for each in inner)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Gateway]:
    """A gateway without a shared service."""
    async with gateway(tmp_path, shared=False) as running:
        yield running


@pytest.mark.behaviour(61)
async def test_container_that_cannot_be_reached_is_a_503_that_says_when_to_come_back(
    alone: Gateway,
) -> None:
    await alone.ask("/session")
    alone.container.stop()
    alone.container.hang_up()
    status, headers, body = await alone.ask("/session")

    assert status == 503
    assert int(headers["retry-after"]) > 0
    assert not told(body, alone)


@pytest.mark.behaviour(61)
async def test_container_that_gives_no_valid_answer_is_a_502(gw: Gateway) -> None:
    for answer in (b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: \x01\r\n\r\n"):
        gw.container.answer = answer
        status, headers, body = await gw.ask("/session")

        assert (status, headers["content-type"]) == (502, "application/json")
        assert not told(body, gw)


@pytest.mark.behaviour(61)
async def test_container_that_closes_without_an_answer_is_a_502(gw: Gateway) -> None:
    gw.container.dies = True
    status, _, body = await gw.ask("/session", method="POST")

    assert status == 502
    assert not told(body, gw)


@pytest.mark.behaviour(62)
async def test_client_that_left_before_the_answer_is_499_in_the_log_alone(
    gw: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    gw.container.answer = b""
    with caplog.at_level(logging.INFO, "gateway.access"):
        async with client(gw.port) as (_, writer):
            writer.write(GET[:-2] + b"Cookie: " + gw.cookie.encode() + b"\r\n\r\n")
            await until(lambda: bool(gw.container.heads))
        await until(lambda: "status=499" in caplog.text)

    assert "trouble='client gone'" in caplog.text


@pytest.mark.behaviour(65)
@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (GET, OK),
        (GET, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (GET, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n"),
        (GET, b"HTTP/1.1 204 None\r\n\r\n"),
        (GET, b"HTTP/1.1 304 Same\r\nContent-Length: 9\r\n\r\n"),
        (HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"),
        (HEAD, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (GET, b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_connection_to_the_upstream_serves_the_next_request(
    request_bytes: bytes, answer: bytes
) -> None:
    async with relaying(plays(answer)) as served:
        for _ in range(3):
            async with client(served.port) as (reader, writer):
                writer.write(request_bytes)
                await reader.head()
                await served.ended()

        assert served.raw.received == [3 * request_bytes]


@pytest.mark.behaviour(65)
async def test_new_container_at_the_old_address_gets_connections_of_its_own(gw: Gateway) -> None:
    for _ in range(2):
        await gw.ask("/session")
    assert len(gw.container._writers) == 1

    gw.orchestrator.tell(gw.orchestrator.view("stopped"))
    await until(lambda: gw.parts.directory.place(gw.session_id).upstream is None)
    await gw.ask("/session")

    assert len(gw.container._writers) == 2


@pytest.mark.behaviour(67)
async def test_silent_stream_has_no_deadline() -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(EVENTS)
        await go_on.wait()
        writer.write(b"data: 2\n\n")
        await reader.rest()

    async with (
        relaying(script, head_s=0.0, idle_s=0.0) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(GET)
        await reader.until(b"data: 1\n\n")
        served.wiring.deadlines.sweep(asyncio.get_running_loop().time() + 86_400)
        go_on.set()

        await within(reader.until(b"data: 2\n\n"))
