"""A Docker Engine that fails on purpose: it listens on a socket and answers as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

_VERSION = json.dumps({"ApiVersion": "1.41", "MinAPIVersion": "1.12"})


@asynccontextmanager
async def fake_docker(folder: Path, status: int | None, message: str = "") -> AsyncIterator[str]:
    """Yield its address. Each call but the version's gets the status; None is silence."""

    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return  # only a knock at the door
        code, body = status, json.dumps({"message": message})
        if b"GET /version " in head:
            code, body = 200, _VERSION
        if code is None:
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
