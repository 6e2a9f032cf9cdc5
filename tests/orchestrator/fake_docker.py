"""A Docker Engine that fails on purpose: it listens on a socket and answers as a test says."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from orchestrator.engines.memory import room_here

_VERSION = json.dumps({"ApiVersion": "1.41", "MinAPIVersion": "1.12"})
_INFO = json.dumps({"MemTotal": room_here().total_bytes})


@asynccontextmanager
async def fake_docker(
    folder: Path, status: int, message: str = "", silent_on: str | None = None
) -> AsyncIterator[str]:
    """Yield its address. It lives, and tells its version and this machine's memory; every other
    call gets the status, except those of paths with `silent_on` in them: they get no answer."""
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return  # only a knock at the door
        code, body = status, json.dumps({"message": message})
        if "GET /version " in head:
            code, body = 200, _VERSION
        elif "/info " in head:
            code, body = 200, _INFO
        elif "/_ping " in head:
            code, body = 200, '"OK"'
        if silent_on is not None and silent_on in head:
            await reader.read()
        else:
            writer.write(
                f"HTTP/1.1 {code} X\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode()
            )
        writer.close()

    server = await asyncio.start_unix_server(answer, folder / "engine.sock")
    async with server:
        yield f"unix://{folder}/engine.sock"
        for writer in writers:
            writer.close()


@contextmanager
def silent_docker(folder: Path) -> Iterator[str]:
    """Yield the address of a stopped engine: its socket takes connections, and nobody reads."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "engine.sock"))
        listener.listen(128)
        yield f"unix://{folder}/engine.sock"
