"""One exchange through the data plane, told in a line: what the upstream saw, what the client got.

Both ends are raw sockets (see `wire`). It knows no rule; the tests say what has to be seen.
"""

import asyncio

from tests.support.wire import Recorded, ask, client, plays, plays_once, relaying

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
LENGTH = b"Content-Length: 0\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


async def forwarded(request: bytes, *, end: bytes = b"\r\n\r\n") -> bytes:
    """Return what the upstream is sent for a request, through the bytes that end it."""

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(end)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(request)
        assert (await reader.head()).startswith(b"HTTP/1.1 204 ")
        return bytes(served.raw.received[0])


async def forwarded_lines(*lines: bytes) -> list[bytes]:
    """Return the field lines that the upstream is sent for a GET with these, Host left out."""
    block = b"".join(line + b"\r\n" for line in lines)
    head = await forwarded(b"GET / HTTP/1.1\r\nHost: a\r\n" + block + b"\r\n")
    return head.removeprefix(b"GET / HTTP/1.1\r\nHost: a\r\n").split(b"\r\n")[:-2]


async def refusal(request: bytes) -> bytes:
    """Return the one answer to bytes of which nothing may reach an upstream, not even the next."""
    async with relaying(plays(OK)) as served:
        got = await ask(served.port, request + SMUGGLED)

        assert served.raw.connections == 0
        assert served.door.heads == []
        assert got.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in got
        return got


async def answered(answer: bytes, request: bytes = LAST) -> bytes:
    """Return all that a client gets whose upstream plays this answer and closes."""
    async with relaying(plays_once(answer)) as served:
        return await ask(served.port, request)


async def answered_lines(*lines: bytes) -> list[bytes]:
    """Return the field lines that a client gets for an empty, dated answer with these."""
    answer = b"".join(
        [b"HTTP/1.1 200 OK\r\nDate: then\r\n", *(line + b"\r\n" for line in lines), LENGTH, b"\r\n"]
    )
    async with relaying(plays(answer)) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        head = await reader.head()
        return head.removeprefix(b"HTTP/1.1 200 OK\r\nDate: then\r\n").split(b"\r\n")[:-3]
