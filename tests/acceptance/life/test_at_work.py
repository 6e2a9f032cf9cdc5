"""What is at work is not frozen, whether anybody looks or not; what waits survives being frozen."""

import re

import anyio
import pytest
from websockets.asyncio.client import ClientConnection

from tests.acceptance.life.conftest import ASK_WAIT_S, FREEZE_AFTER_S, Terminals, connected
from tests.support.desk import Desk
from tests.support.life import until_busy, witnessed
from tests.support.turns import answer, listening, prompted

# The first test of the package waits for the deployment and two cold starts.
pytestmark = [pytest.mark.docker, pytest.mark.opencode, pytest.mark.timeout(300)]


@pytest.mark.parametrize(
    ("prompt", "last_words"),
    [("stream for 10 seconds", "end."), ("run: sleep 10; echo slept", "slept\n")],
)
async def test_a_turn_that_nobody_watches_is_finished_before_the_freeze(
    alice: Desk, prompt: str, last_words: str
) -> None:
    await alice.own("GET", "/session")

    async with witnessed(alice) as witness:
        conversation = await prompted(alice, prompt)
        frozen = await witness.sees("pause")
        actions = witness.actions
    told = await answer(alice, conversation)

    assert told.text.endswith(last_words)
    assert told.ended is not None
    assert told.ended - told.asked > 3 * FREEZE_AFTER_S
    assert actions == ["pause"]
    assert frozen > told.ended


async def test_a_permission_is_waited_for_and_survives_the_freeze(alice: Desk) -> None:
    asks = [{"permission": "bash", "pattern": "*", "action": "ask"}]
    async with listening(alice) as events, witnessed(alice) as witness:
        conversation = await prompted(alice, "run: echo permitted", permission=asks)
        asked = await events.next("permission.asked", conversation)
        await until_busy(alice, "a permission is waiting")
        frozen = await witness.sees("pause")
        actions = witness.actions

        ask = asked["properties"]["id"]
        await alice.own("POST", f"/permission/{ask}/reply", json={"reply": "once"})
        await events.next("session.idle", conversation)

    told = await answer(alice, conversation)
    assert actions == ["pause"]
    assert frozen - told.asked > ASK_WAIT_S
    assert (told.text, told.error) == ("It printed: permitted\n", None)


async def test_a_terminal_that_prints_keeps_it_awake_with_nobody_connected(
    bob: Desk, terminals: Terminals
) -> None:
    frozen = await terminals.witness.sees("pause", within_s=180)
    actions = terminals.witness.actions

    async with connected(bob, terminals.prints) as socket:
        printed = [int(at) for at in await _read(socket, r"printed-(\d+)", 9)]

    assert printed[-1] - printed[0] > 2 * FREEZE_AFTER_S
    assert actions == ["pause"]
    assert frozen > printed[-1]


async def test_a_key_typed_into_a_terminal_that_was_open_through_the_freeze_is_answered(
    terminals: Terminals,
) -> None:
    await terminals.witness.sees("pause", within_s=180)

    await terminals.shell.send("echo $((6*7))-echoed\r")

    assert await _read(terminals.shell, "42-echoed", 1) == ["42-echoed"]


async def _read(socket: ClientConnection, pattern: str, count: int) -> list[str]:
    """Read until a terminal has shown so many of these."""
    seen = ""
    with anyio.fail_after(60):
        async for message in socket:
            seen += message if isinstance(message, str) else ""
            if len(found := re.findall(pattern, seen)) >= count:
                return found
    raise AssertionError(f"The terminal was closed: {seen}")
