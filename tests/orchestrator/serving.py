"""The orchestrator on a real socket, with its lifespan, and a caller that knows its secret."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import uvicorn
from anyio.abc import Process
from starlette.applications import Starlette

from orchestrator.api import HEALTH

PROGRAM = Path(sys.executable).with_name("opencode-gateway")
Caller = httpx.AsyncClient  # noqa: TID251 - the tests' own


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """Yield its address once it has started; at the end it has shut down in order."""
    config = uvicorn.Config(app, port=0, http="h11", log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    async with anyio.create_task_group() as group:
        group.start_soon(server.serve)
        with anyio.fail_after(90):
            while not server.started:
                assert not server.should_exit, "it failed to start; its log says why"
                await anyio.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        finally:
            server.should_exit = True


@asynccontextmanager
async def call(address: str, secret: str) -> AsyncIterator[Caller]:
    headers = {"Authorization": f"Bearer {secret}"}
    async with Caller(base_url=address, headers=headers, timeout=90, trust_env=False) as caller:
        yield caller


@asynccontextmanager
async def running(environ: Mapping[str, str], port: int) -> AsyncIterator[Process]:
    """Run it as a program of its own while the body runs."""
    environ = {**environ, "ORCHESTRATOR_PORT": str(port)}
    async with await anyio.open_process([str(PROGRAM), "orchestrator"], env=environ) as program:
        try:
            yield program
        finally:
            if program.returncode is None:
                program.kill()


async def answers(caller: Caller) -> bool:
    try:
        return (await caller.get(HEALTH)).status_code == 200
    except httpx.TransportError:
        return False
