"""A Docker Engine's socket that a test can cut: bytes pass between it and the engine's own.

To who uses it, a cut is the engine's end: connections break and nobody listens any more.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio

_PIECE = 65536


@dataclass(slots=True)
class EngineProxy:
    """`engine` is the path of the engine's own socket, `path` that of the one to use instead."""

    engine: str
    path: Path
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"unix://{self.path}"

    async def listen(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            self.path.unlink()
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self.engine)
        self._open |= {writer, back}
        try:
            async with anyio.create_task_group() as both:
                both.start_soon(_pass_on, reader, back)
                both.start_soon(_pass_on, there, writer)
        finally:
            self._open -= {writer, back}
            for each in (writer, back):
                each.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


@asynccontextmanager
async def engine_proxy(docker_host: str | None, path: Path) -> AsyncIterator[EngineProxy]:
    """Pass on to the engine at `docker_host` while the body runs."""
    engine = (docker_host or "unix:///var/run/docker.sock").removeprefix("unix://")
    proxy = EngineProxy(engine, path)
    await proxy.listen()
    try:
        yield proxy
    finally:
        proxy.cut()
