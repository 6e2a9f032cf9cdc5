"""What is asked of an OpenCode server, and why it is not ready."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from orchestrator.containers import Address
from orchestrator.server import NotReady, Server, client
from tests.orchestrator.fake_opencode import FakeOpenCode, Manner
from tests.support.wire import Recorded, upstream


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenCode]:
    server = FakeOpenCode("right")
    server.address = await server.listen()
    yield server
    await server.close()


async def asked(server: FakeOpenCode, check: str, password: str = "right") -> NotReady | None:
    async with client() as asking:
        try:
            await getattr(Server(asking, server.address, password), check)(timeout_s=0.2)
        except NotReady as reason:
            return reason
    return None


@pytest.mark.parametrize("check", ["check_health", "check_instance"])
async def test_a_healthy_server_passes(server: FakeOpenCode, check: str) -> None:
    assert await asked(server, check) is None


@pytest.mark.parametrize(
    ("manner", "check", "words", "final"),
    [
        (Manner.STRANGER, "check_health", "not a healthy OpenCode server", False),
        (Manner.MUTE, "check_health", "does not answer in time", False),
        (Manner.BROKEN, "check_instance", "ConfigJsonError in /workspace/opencode.json", True),
    ],
)
async def test_why_a_server_is_not_ready(
    server: FakeOpenCode, manner: Manner, check: str, words: str, final: bool
) -> None:
    server.manner = manner
    reason = await asked(server, check)

    assert reason is not None
    assert (words in reason.why, reason.final) == (True, final)


async def test_a_wrong_password_is_no_reason_to_wait(server: FakeOpenCode) -> None:
    reason = await asked(server, "check_health", password="wrong")

    assert reason is not None
    assert reason.final


async def test_a_closed_port_may_open_yet_and_disposing_of_it_is_done() -> None:
    async with client() as asking:
        nobody = Server(asking, Address("127.0.0.1", 1), "p")
        with pytest.raises(NotReady, match="Nothing answers") as caught:
            await nobody.check_health(1)
        await nobody.dispose()
    assert not caught.value.final


async def test_its_version_is_known_when_it_is_healthy(server: FakeOpenCode) -> None:
    async with client() as asking:
        version = await Server(asking, server.address, "right").check_health(1)

    assert version == "1.18.33"


async def test_a_turn_is_aborted_in_its_own_directory(server: FakeOpenCode) -> None:
    async with client() as asking:
        await Server(asking, server.address, "right").abort("ses_1", "/a b", timeout_s=1)

    assert server.asked == ["POST /session/ses_1/abort?directory=%252Fa%2520b"]


@pytest.mark.parametrize("password", ["right", "wrong"])
async def test_what_is_no_event_stream_is_not_followed(server: FakeOpenCode, password: str) -> None:
    server.manner = Manner.STRANGER if password == "right" else Manner.HEALTHY
    async with client() as asking:
        following = Server(asking, server.address, password)
        with pytest.raises(NotReady, match="no event stream"):
            async with following.streamed("/global/event"):
                pass


Answering = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def hostile(answer: Answering) -> AsyncIterator[tuple[Address, list[bytes]]]:
    """What may stand on a container's port in OpenCode's place; and the heads it was sent."""
    heads: list[bytes] = []

    async def serve(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.head())
        with suppress(ConnectionError):
            await answer(writer)

    async with upstream(serve) as (raw, _):
        yield Address("127.0.0.1", raw.port), heads


async def _cookie(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: a=mine\r\nContent-Length: 16\r\n\r\n")
    writer.write(b'{"healthy":true}')
    await writer.drain()


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    while True:
        writer.write(b" " * 65536)
        await writer.drain()


async def _dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
    for _ in range(1000):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def test_what_one_container_sets_as_a_cookie_the_next_at_its_address_never_sees() -> None:
    async with hostile(_cookie) as (address, heads), client() as asking:
        await Server(asking, address, "one").check_health(5)
        await Server(asking, address, "another").check_health(5)

    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()


async def test_an_answer_without_end_is_given_up() -> None:
    async with hostile(_endless) as (address, _), client() as asking:
        with pytest.raises(NotReady, match="has no end"):
            await Server(asking, address, "right").check_health(30)


async def test_an_answer_that_drips_is_given_up_in_time() -> None:
    async with hostile(_dripping) as (address, _), client() as asking:
        with pytest.raises(NotReady, match="in time"):
            await Server(asking, address, "right").check_health(0.1)
