"""Ten thousand clients come and leave: each time the upstream is told, and nothing stays."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from tests.gateway.wire.endurance.counting import held, repeated
from tests.support.websocket import ASK, SWITCH
from tests.support.wire import Recorded, Served, client, relaying, reset, within

WARM, CYCLES = 300, 3_400
# What all cycles together may leave and still be no leak; measured: two blocks.
SPARE = 200
EVENT = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
STREAM = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
UPLOAD = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 20_000


class Patient:
    """An upstream that stays as long as it is let, and tells when each client's request ended.

    To a GET it answers with a stream that falls idle; to a POST nothing.
    """

    def __init__(self) -> None:
        self.asked: dict[int, asyncio.Event] = {}
        self.gone: dict[int, asyncio.Event] = {}

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        head = await reader.head()
        number = int(head.split(b" ")[1][1:])
        if head.startswith(b"GET"):
            writer.write(EVENT)
        self.asked.pop(number).set()
        with suppress(ConnectionError):
            while await reader._reader.read(65536):
                pass
        self.gone.pop(number).set()


@pytest.fixture
async def patient() -> AsyncIterator[tuple[Patient, Served]]:
    patient = Patient()
    async with relaying(patient) as served:
        yield patient, served


@pytest.mark.behaviour(62, 63)
@pytest.mark.parametrize(
    ("request_line", "until"),
    [(STREAM, b"\n\n"), (UPLOAD, b""), (STREAM.replace(b"GET", b"POST"), b"")],
    ids=["on-an-idle-event-stream", "amid-an-upload", "before-the-answer"],
)
async def test_clients_that_leave_leave_nothing(
    patient: tuple[Patient, Served], request_line: bytes, until: bytes
) -> None:
    upstream, served = patient

    async def cycle(number: int) -> None:
        asked = upstream.asked[number] = asyncio.Event()
        gone = upstream.gone[number] = asyncio.Event()
        async with client(served.port) as (reader, writer):
            writer.write(request_line % number)
            await within(asked.wait())
            if until:
                await reader.until(until)
            if number % 2:
                reset(writer)
        await within(gone.wait())

    await repeated(cycle, WARM)
    before = await held(served)
    await repeated(cycle, CYCLES)
    after = await held(served)

    assert after.descriptors == before.descriptors
    assert after.blocks - before.blocks < SPARE
    assert len(served.pool._open) == 0


class Echo:
    """An upstream that accepts each handshake and sends back what it is sent."""

    def __init__(self) -> None:
        self.open = 0

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(SWITCH)
        self.open += 1
        with suppress(ConnectionError):
            while piece := await reader._reader.read(65536):
                writer.write(piece)
        self.open -= 1


@pytest.mark.behaviour(77)
async def test_ten_thousand_websockets_leave_nothing() -> None:
    echo = Echo()
    message = b"\x81\x85abcdhello"
    async with relaying(echo) as served:

        async def cycle(number: int) -> None:
            async with client(served.port) as (reader, writer):
                writer.write(ASK + message)
                await reader.exactly(len(SWITCH + message))
                if number % 2:
                    writer.write_eof()
                    assert await reader.rest() == b""

        await repeated(cycle, WARM)
        before = await held(served)
        await repeated(cycle, 10_000)
        after = await held(served)

        assert after.descriptors == before.descriptors
        assert after.blocks - before.blocks < SPARE
        assert (echo.open, len(served.pool._open)) == (0, 0)
