"""A server that answers the few questions the orchestrator asks of OpenCode, on a real socket."""

import asyncio
import base64
import json
from enum import StrEnum

from orchestrator.containers import Address


class Manner(StrEnum):
    """How it answers; a test changes it while the server runs."""

    HEALTHY = "healthy"
    STRANGER = "answers 200 with a page, as anything on the port may"
    BROKEN = "healthy, but its workspace can't be loaded"
    MUTE = "accepts connections and never answers"


class FakeOpenCode:
    """One server with its own password, as a container has it."""

    def __init__(self, password: str) -> None:
        self.manner = Manner.HEALTHY
        self.asked: list[str] = []
        self.address = Address("127.0.0.1", 0)
        self._expected = "Basic " + base64.b64encode(f"opencode:{password}".encode()).decode()
        self._writers: set[asyncio.StreamWriter] = set()

    async def listen(self) -> Address:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return Address(host, port)

    async def close(self) -> None:
        self._server.close()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head.partition(" HTTP")[0])
            if self.manner is Manner.MUTE:
                await reader.read()
                return
            status, kind, body = self._reply(head)
            writer.write(
                f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
                f"connection: close\r\n\r\n{body}".encode()
            )
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the asking side went away, or this server was closed
        finally:
            writer.close()
            self._writers.discard(writer)

    def _reply(self, head: str) -> tuple[int, str, str]:
        if self.manner is Manner.STRANGER:
            return 200, "text/html", "<!doctype html>"
        if self._expected not in head:
            return 401, "text/plain", ""
        if " /session/status " in head and self.manner is Manner.BROKEN:
            error = {"name": "ConfigJsonError", "data": {"path": "/workspace/opencode.json"}}
            return 400, "application/json", json.dumps(error)
        return 200, "application/json", json.dumps({"healthy": True})
