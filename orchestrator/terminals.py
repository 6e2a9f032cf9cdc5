"""How much each terminal of a server has printed by now, of which no event tells.

A short WebSocket to the terminal asks for nothing but its cursor: OpenCode answers a connection
with a binary frame `0x00{"cursor":N}` first, and no output is waited for. A terminal that can't be
asked is left out: its end is told by an event.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlencode

import anyio
from anyio.streams.buffered import BufferedByteReceiveStream

from orchestrator.opencode import USERNAME
from orchestrator.server import Server, inside
from orchestrator.work import Terminal

_WITHIN_S = 2.0
_LONGEST_HEAD = 16_384
_LONGEST_FRAME = 1 << 20
# The example of RFC 6455: nobody between us needs to be convinced that the answer is fresh.
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
# From now on, that is without what was printed before.
_FROM_NOW = "-1"
_BINARY = 0x2
_MARK = b"\x00"
# An empty close frame, masked with zeros.
_CLOSE = b"\x88\x80\x00\x00\x00\x00"
_FAILURES = (
    OSError,
    anyio.BrokenResourceError,
    anyio.IncompleteRead,
    anyio.DelimiterNotFound,
    anyio.EndOfStream,
    ValueError,
)


async def look_at_terminals(server: Server, terminals: Mapping[str, Terminal]) -> dict[str, int]:
    """The cursor of each terminal that tells it in time; `Activity.looked` compares them.

    All at once: a container's owner waits for this, however many silent terminals there are.
    """
    found: dict[str, int] = {}

    async def ask(key: str, directory: str) -> None:
        with suppress(*_FAILURES):
            found[key] = await _cursor(server, key, directory)

    with anyio.move_on_after(_WITHIN_S):
        async with anyio.create_task_group() as group:
            for key, terminal in terminals.items():
                group.start_soon(ask, key, terminal.directory)
    return found


async def _cursor(server: Server, key: str, directory: str) -> int:
    async with await anyio.connect_tcp(server.address.host, server.address.port) as stream:
        await stream.send(_handshake(server, key, directory))
        received = BufferedByteReceiveStream(stream)
        head = await received.receive_until(b"\r\n\r\n", _LONGEST_HEAD)
        if not head.startswith(b"HTTP/1.1 101 "):
            raise ValueError("it has no such terminal")
        while not (frame := await _frame(received)).startswith(_MARK):
            pass
        await stream.send(_CLOSE)
    return int(json.loads(frame.removeprefix(_MARK))["cursor"])


def _handshake(server: Server, key: str, directory: str) -> bytes:
    query = urlencode({**inside(directory), "cursor": _FROM_NOW})
    basic = b64encode(f"{USERNAME}:{server.password}".encode()).decode()
    return (
        f"GET /pty/{key}/connect?{query} HTTP/1.1\r\nHost: {server.address.host}\r\n"
        f"Authorization: Basic {basic}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {_KEY}\r\n\r\n"
    ).encode()


async def _frame(received: BufferedByteReceiveStream) -> bytes:
    """The next binary frame's payload, or nothing for any other frame. A server masks none."""
    first, second = await received.receive_exactly(2)
    length = second & 0x7F
    if length >= 126:
        length = int.from_bytes(await received.receive_exactly(2 if length == 126 else 8))
    if length > _LONGEST_FRAME:
        raise ValueError("no frame of a terminal is that long")
    payload = await received.receive_exactly(length)
    return payload if first & 0x0F == _BINARY else b""
