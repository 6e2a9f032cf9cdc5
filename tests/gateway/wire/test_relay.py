"""One exchange through the data plane, on real sockets at both ends."""

import asyncio

from tests.support.wire import Recorded, ScriptedDoor, ask, client, serving, upstream

GET = b"GET /a%2Fb?x=1;y HTTP/1.1\r\nHost: gw.example\r\nX-Case: Kept\r\nConnection: close\r\n\r\n"


async def _answers_ok(reader: Recorded, writer: asyncio.StreamWriter) -> None:
    await reader.head()
    writer.write(b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-Up: 1\r\n\r\nok")


async def test_target_and_headers_arrive_as_they_were_sent() -> None:
    async with upstream(_answers_ok) as (raw, pool), serving(ScriptedDoor(pool)) as port:
        await ask(port, GET)

        assert bytes(raw.received[0]) == (
            b"GET /a%2Fb?x=1;y HTTP/1.1\r\nHost: gw.example\r\nX-Case: Kept\r\n\r\n"
        )


async def test_answer_arrives_as_it_was_sent() -> None:
    async with upstream(_answers_ok) as (_, pool), serving(ScriptedDoor(pool)) as port:
        answer = await ask(port, GET)

        assert answer == (
            b"HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nX-Up: 1\r\nConnection: close\r\n\r\nok"
        )


async def test_upstream_connection_is_used_again() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await _answers_ok(reader, writer)

    async with upstream(script) as (raw, pool), serving(ScriptedDoor(pool)) as port:
        async with client(port) as (reader, writer):
            for _ in range(2):
                writer.write(GET.replace(b"Connection: close\r\n", b""))
                await reader.until(b"ok")

        assert raw.connections == 1
