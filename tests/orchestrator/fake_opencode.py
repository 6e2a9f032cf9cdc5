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
        self._connections: set[asyncio.Transport] = set()

    async def listen(self) -> Address:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        return Address(host, port)

    async def close(self) -> None:
        for listener in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        await asyncio.sleep(0)  # asyncio leaks what it is accepting while its server is closed
        self._server.close()
        for connection in self._connections:
            connection.close()
        await self._server.wait_closed()

    def opened(self, connection: asyncio.Transport) -> None:
        self._connections.add(connection)
        if not self._server.is_serving():  # accepted just before it was closed
            connection.close()

    def closed(self, connection: asyncio.Transport) -> None:
        self._connections.discard(connection)

    def answer(self, head: str, connection: asyncio.Transport) -> None:
        self.asked.append(head.partition(" HTTP")[0])
        if self.manner is Manner.MUTE:
            return
        status, kind, body = self._reply(head)
        connection.write(
            f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
            f"connection: close\r\n\r\n{body}".encode()
        )
        connection.close()

    def _reply(self, head: str) -> tuple[int, str, str]:
        if self.manner is Manner.STRANGER:
            return 200, "text/html", "<!doctype html>"
        if self._expected not in head:
            return 401, "text/plain", ""
        if " /session/status " in head and self.manner is Manner.BROKEN:
            error = {"name": "ConfigJsonError", "data": {"path": "/workspace/opencode.json"}}
            return 400, "application/json", json.dumps(error)
        return 200, "application/json", json.dumps({"healthy": True})


class _Connection(asyncio.Protocol):
    """One request. No task reads it, so nothing stays open if the loop ends before one begins."""

    def __init__(self, server: FakeOpenCode) -> None:
        self._server = server
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.opened(transport)

    def data_received(self, data: bytes) -> None:
        answered = b"\r\n\r\n" in self._received
        self._received += data
        if not answered and b"\r\n\r\n" in self._received:
            self._server.answer(self._received.decode(), self._transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._server.closed(self._transport)
