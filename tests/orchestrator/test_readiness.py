"""Waiting for a server on a real socket that answers as OpenCode does while it begins to listen."""

import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import SocketAttribute, SocketStream

from orchestrator.containers import Address, Observation
from orchestrator.readiness import Progress, Wait
from orchestrator.server import Server, client
from tests.orchestrator.fake_engine import FakeEngine

_HEALTHY = json.dumps({"healthy": True, "version": "1.18.33"}).encode()
_SEEN = Observation("k", "id", "nonce", "print", True, "boot", "volume")


async def test_a_question_that_is_never_answered_holds_up_a_start_for_a_moment_only() -> None:
    async with _beginning(mute=1, slow_s=0) as wait:
        with anyio.fail_after(1):
            await wait.until_ready()


async def test_a_server_that_is_slow_is_given_longer_each_time() -> None:
    async with _beginning(mute=0, slow_s=0.3) as wait:
        with anyio.fail_after(5):
            await wait.until_ready()

    assert wait.patience_s > 0.3


@asynccontextmanager
async def _beginning(*, mute: int, slow_s: float) -> AsyncIterator[Wait]:
    """Wait for a server that leaves so many questions unanswered, and is slow with the others."""
    asked = 0

    async def answer(connection: SocketStream) -> None:
        nonlocal asked
        asked += 1
        number = asked
        async with connection:
            await connection.receive()
            if number <= mute:
                await anyio.sleep_forever()
            await anyio.sleep(slow_s)
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(_HEALTHY)}\r\n\r\n"
            await _send(connection, head.encode() + _HEALTHY)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)
    async with listener, client() as http, anyio.create_task_group() as group:
        group.start_soon(listener.serve, answer)
        server = Server(http, Address("127.0.0.1", port), "password")
        wait = Wait(FakeEngine(), lambda _: server, _SEEN, Progress(lambda _: None))
        wait.looked_at = math.inf  # the engine has no part in this
        yield wait
        group.cancel_scope.cancel()


async def _send(connection: SocketStream, answer: bytes) -> None:
    try:
        await connection.send(answer)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return  # whoever asked has given up
