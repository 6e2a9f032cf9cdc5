"""A server that answers the few questions the orchestrator asks of OpenCode, on a real socket."""

import asyncio
import base64
import json
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from orchestrator.containers import Address


class Manner(StrEnum):
    """How it answers; a test changes it while the server runs."""

    HEALTHY = "healthy"
    STRANGER = "answers 200 with a page, as anything on the port may"
    BROKEN = "healthy, but its workspace can't be loaded"
    DEAF = "healthy, but keeps the configuration that it booted with"
    MUTE = "accepts connections and never answers"


WORKSPACE = "/workspace"
NOTHING: dict[str, Any] = {
    "/path": {"directory": WORKSPACE},
    "/session/status": {},
    "/permission": [],
    "/question": [],
    "/pty": [],
    "/experimental/session": [],
}


class FakeOpenCode:
    """One server with its own password, as a container has it.

    `says` is what it answers at a path, or at "PATH in DIRECTORY"; `cursors` what its terminals
    have printed, `hangs_at` the paths at which it never answers. It has no way of knowing a
    directory that it was not asked about.
    """

    def __init__(self, password: str) -> None:
        self.manner = Manner.HEALTHY
        self.asked: list[str] = []
        self.address = Address("127.0.0.1", 0)
        self.says: dict[str, Any] = dict(NOTHING)
        self.cursors: dict[str, int] = {}
        self.hangs_at: set[str] = set()
        self._frozen = False
        self._waiting: list[tuple[str, asyncio.Transport]] = []
        self._streams: set[asyncio.Transport] = set()
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

    def freeze(self) -> None:
        """From now on take connections and requests, and answer none before it is thawed."""
        self._frozen = True

    def thaw(self) -> None:
        self._frozen = False
        while self._waiting:
            head, connection = self._waiting.pop(0)
            if not connection.is_closing():
                self.answer(head, connection)

    def opened(self, connection: asyncio.Transport) -> None:
        self._connections.add(connection)
        if not self._server.is_serving():  # accepted just before it was closed
            connection.close()

    def closed(self, connection: asyncio.Transport) -> None:
        self._connections.discard(connection)
        self._streams.discard(connection)

    def tell(self, kind: str, directory: str = WORKSPACE, **properties: Any) -> None:
        """Send an event to all who follow."""
        payload = {"id": "evt_1", "type": kind, "properties": properties}
        event = json.dumps({"directory": directory, "payload": payload}, separators=(",", ":"))
        for stream in self._streams:
            stream.write(f"data: {event}\n\n".encode())

    def cut(self) -> None:
        """End all event streams, as a failing network does."""
        for stream in self._streams:
            stream.abort()

    def answer(self, head: str, connection: asyncio.Transport) -> None:
        if self._frozen:
            self._waiting.append((head, connection))
            return
        self.asked.append(head.partition(" HTTP")[0])
        if self.manner is Manner.MUTE or urlsplit(head.split(" ")[1]).path in self.hangs_at:
            return
        status, kind, body = self._reply(head)
        target = urlsplit(head.split(" ")[1])
        serves = status == 200 and self.manner is not Manner.STRANGER
        if serves and target.path == "/global/event":
            self._follow(connection)
            return
        if serves and target.path.endswith("/connect"):
            self._connect(target.path.split("/")[2], connection)
            return
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
        target = urlsplit(head.split(" ")[1])
        if target.path == "/config" and self.manner is Manner.DEAF:
            return 200, "application/json", "{}"
        if target.path in ("/session/status", "/config") and self.manner is Manner.BROKEN:
            error = {"name": "ConfigJsonError", "data": {"path": "/workspace/opencode.json"}}
            return 400, "application/json", json.dumps(error)
        if target.path.startswith("/pty/") and target.path.split("/")[2] not in self.cursors:
            return 404, "application/json", "{}"
        directory = unquote(parse_qs(target.query).get("directory", [""])[0])
        healthy = {"healthy": True, "version": "1.18.33"}
        says = self.says.get(target.path, healthy)
        says = self.says.get(f"{target.path} in {directory}", says)
        return 200, "application/json", json.dumps(says)

    def _follow(self, connection: asyncio.Transport) -> None:
        connection.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        connection.write(b'data: {"payload":{"type":"server.connected","properties":{}}}\n\n')
        self._streams.add(connection)

    def _connect(self, terminal: str, connection: asyncio.Transport) -> None:
        told = b"\0" + json.dumps({"cursor": self.cursors[terminal]}).encode()
        connection.write(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n")
        # Some output and a ping come first, each in a frame that is not the one.
        connection.write(b"\x81\x7e\x00\x80" + b"x" * 128 + b"\x89\x00")
        connection.write(bytes([0x82, len(told)]) + told)


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
