"""A gateway as a process of its own that is told to end: what its clients see of it."""

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from gateway import app
from tests.support.deployment import CLEAN_ENVIRONMENT, PROGRAM, running
from tests.support.front import Gateway, gateway
from tests.support.services import free_port
from tests.support.waiting import until
from tests.support.websocket import SWITCH
from tests.support.wire import RawUpstream, Recorded, ask, client, upstream

EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def container(reader: Recorded, writer: asyncio.StreamWriter) -> None:
    """Answer by the path: a stream, a terminal, nothing at all, or at once."""
    while True:
        head = await reader.head()
        if b"/pty/" in head:
            writer.write(SWITCH)
            await reader.rest()
        elif b"/event" in head:
            writer.write(EVENTS)
            await reader.rest()
        elif b"/message" in head:
            await reader._reader.read()
        else:
            writer.write(OK)


@dataclass
class Ending:
    """One gateway process, the port that it serves, what it wrote, and how to ask it."""

    process: Process
    port: int
    log: Path
    cookie: str
    upstream: RawUpstream
    stack: AsyncExitStack

    async def open(self, method: str, path: str, more: str = "") -> Recorded:
        """Send a request with the session's cookie; keep the connection."""
        reader, self.writer = await self.stack.enter_async_context(client(self.port))
        self.writer.write(
            f"{method} {path} HTTP/1.1\r\nHost: a\r\nCookie: {self.cookie}\r\n{more}\r\n".encode()
        )
        return reader

    async def end(self, within_s: float) -> None:
        with anyio.fail_after(within_s):
            assert await self.process.wait() == 0
        written = self.log.read_text()
        assert "Traceback" not in written
        assert re.findall(".* ERROR .*", written) == []


@pytest.fixture
async def gw(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path) as running_too:
        yield running_too


@asynccontextmanager
async def process_beside(gw: Gateway, tmp_path: Path) -> AsyncIterator[Ending]:
    """Run the gateway once more, as a process on the same state."""
    settings, port, log = gw.parts.settings, free_port(), tmp_path / "gateway.log"
    environ = {
        **CLEAN_ENVIRONMENT,
        "STATE": str(settings.state),
        "PORT": str(port),
        "ORCHESTRATOR_URL": settings.orchestrator_url,
        "SERVICE_SECRET": settings.service_secret,
    }
    async with AsyncExitStack() as stack:
        raw, pool = await stack.enter_async_context(upstream(container))
        gw.orchestrator.ready_at = pool._port
        command = (str(PROGRAM), "gateway")
        process = await stack.enter_async_context(running(command, environ, log))
        await until(lambda: _answers(port), "the gateway answers")
        yield Ending(process, port, log, gw.cookie, raw, stack)


async def _asked(ending: Ending, requests: int) -> bool:
    return len([each for each in ending.upstream.received if each]) == requests


async def _answers(port: int) -> bool:
    try:
        health = b"GET /gateway/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        return (await ask(port, health)).startswith(b"HTTP/1.1 200 ")
    except OSError:
        return False


@pytest.mark.behaviour(68)
async def test_open_streams_end_properly_and_what_is_on_its_way_is_answered(
    gw: Gateway, tmp_path: Path
) -> None:
    async with process_beside(gw, tmp_path) as ending:
        idle = await ending.open("GET", "/session")
        idle_writer = ending.writer
        assert (await idle.until(b"ok")).startswith(b"HTTP/1.1 200 ")
        events = await ending.open("GET", "/event")
        await events.until(b"data: 1\n\n")
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        upgrade = f"Connection: Upgrade\r\nUpgrade: websocket\r\n{key}"
        tunnel = await ending.open("GET", "/pty/pty_1/connect", upgrade)
        assert (await tunnel.head()).startswith(b"HTTP/1.1 101 ")

        ending.process.send_signal(signal.SIGTERM)

        assert await tunnel.rest() == b"\x88\x16\x03\xf4the gateway restarts"
        assert b"0\r\n\r\n" not in await events.rest()
        idle_writer.write(f"GET /x HTTP/1.1\r\nHost: a\r\nCookie: {gw.cookie}\r\n\r\n".encode())
        assert b"\r\nConnection: close\r\n" in await idle.rest()
        await ending.end(within_s=5)


@pytest.mark.behaviour(68)
async def test_what_never_ends_is_cut_at_the_deadline(gw: Gateway, tmp_path: Path) -> None:
    async with process_beside(gw, tmp_path) as ending:
        silent = await ending.open("POST", "/session/ses_1/message", "Content-Length: 0\r\n")
        upload = await ending.open("POST", "/session/ses_2/message", "Content-Length: 9\r\n")
        ending.writer.write(b"x")
        await until(lambda: _asked(ending, 2), "both requests have reached the container")

        ending.process.send_signal(signal.SIGTERM)
        await ending.end(within_s=app._DRAIN_S + 5)

        for reader in (silent, upload):
            assert (await reader.rest()).startswith(b"HTTP/1.1 504 ")
