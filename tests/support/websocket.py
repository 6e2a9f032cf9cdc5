"""Handshakes for tunnels through the data plane: the example of RFC 6455 §1.3, byte for byte."""

import asyncio

from tests.support.wire import Recorded, Script

ASK = (
    b"GET /pty/1/connect?x=%2F HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
    b"Sec-WebSocket-Protocol: p\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)


def switches(then: Script) -> Script:
    """A script that accepts the handshake and goes on as `then`."""

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(SWITCH)
        await then(reader, writer)

    return script


async def echo(reader: Recorded, writer: asyncio.StreamWriter) -> None:
    while piece := await reader._reader.read(65536):
        writer.write(piece)
        await writer.drain()


async def listens(reader: Recorded, writer: asyncio.StreamWriter) -> None:
    await reader.rest()
