"""Asking terminals how much they have printed, on a real socket."""

from collections.abc import AsyncIterator

import anyio
import pytest

from orchestrator.containers import Address
from orchestrator.server import Server, client
from orchestrator.terminals import look_at_terminals
from orchestrator.work import Terminal
from tests.orchestrator.fake_opencode import FakeOpenCode, Manner
from tests.support.waiting import until


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenCode]:
    fake = FakeOpenCode("right")
    fake.address = await fake.listen()
    yield fake
    await fake.close()


async def looked(address: Address, password: str, *terminals: str) -> dict[str, int]:
    async with client() as asking:
        server = Server(asking, address, password)
        return await look_at_terminals(server, {key: Terminal("/a b") for key in terminals})


async def test_each_terminal_tells_its_cursor_behind_other_frames(fake: FakeOpenCode) -> None:
    fake.cursors = {"pty_1": 0, "pty_2": 123_456}

    assert await looked(fake.address, "right", "pty_1", "pty_2") == fake.cursors
    assert fake.asked[0] == "GET /pty/pty_1/connect?directory=%252Fa%2520b&cursor=-1"


async def test_one_that_has_ended_hides_no_other(fake: FakeOpenCode) -> None:
    fake.cursors = {"pty_2": 7}

    assert await looked(fake.address, "right", "pty_1", "pty_2") == {"pty_2": 7}


async def test_a_wrong_password_learns_nothing(fake: FakeOpenCode) -> None:
    fake.cursors = {"pty_1": 7}

    assert await looked(fake.address, "wrong", "pty_1") == {}


async def test_a_closed_port_and_a_silent_server_cost_their_time_and_no_more(
    fake: FakeOpenCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.terminals._WITHIN_S", 0.05)
    fake.manner = Manner.MUTE

    assert await looked(fake.address, "right", "pty_1") == {}
    assert await looked(Address("127.0.0.1", 1), "right", "pty_1") == {}


async def test_no_terminal_waits_for_another_one(
    fake: FakeOpenCode, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.terminals._WITHIN_S", 60)
    fake.manner = Manner.MUTE

    async def all_asked() -> bool:
        return len(fake.asked) == 3

    async with anyio.create_task_group() as group:
        group.start_soon(looked, fake.address, "right", "pty_1", "pty_2", "pty_3")
        await until(all_asked, "all three are asked", within_s=5)
        group.cancel_scope.cancel()
