"""What a person reads of the ladder, what they can change of it, and what a stop does to a turn."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.life.conftest import PATIENT
from tests.support.desk import Desk, seated
from tests.support.engine import docker_host
from tests.support.life import engine_status, shown, until_busy, until_it_is, witnessed
from tests.support.scripted_model import Model
from tests.support.services import Services, services
from tests.support.turns import answer, prompted
from tests.support.waiting import until

# A machine with much else to do may take half a minute for a start.
pytestmark = [pytest.mark.docker, pytest.mark.opencode, pytest.mark.timeout(300)]

_DRAIN_S = 6


@pytest.fixture(scope="module")
async def steep(
    model: Model, opencode_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Services]:
    """A ladder that leads from ready to removed in twelve seconds."""
    docker_host()
    state = tmp_path_factory.mktemp("steep") / "state"
    ladder = {"FREEZE_AFTER_S": "3", "STOP_AFTER_S": "6", "REMOVE_AFTER_S": "3", **PATIENT}
    async with services(state, POOL_SIZE="0", DRAIN_S=str(_DRAIN_S), **ladder) as both:
        yield both


@pytest.fixture(scope="module")
async def carol(steep: Services, model: Model) -> AsyncIterator[Desk]:
    desk = await seated(steep.deployment(), model, "carol")
    yield desk
    await desk.http.aclose()


@pytest.fixture(scope="module")
async def dave(steep: Services, model: Model) -> AsyncIterator[Desk]:
    desk = await seated(steep.deployment(), model, "dave")
    yield desk
    await desk.http.aclose()


async def test_each_rung_tells_what_comes_next_and_the_last_leaves_the_files(carol: Desk) -> None:
    conversation = await carol.conversation("kept")

    ready = await _until_next(carol, "ready", "freeze")
    frozen = await _until_next(carol, "frozen", "stop")
    paused = await engine_status(carol)
    stopped = await _until_next(carol, "stopped", "remove")
    await until(lambda: _is_gone(carol), "its container removed")
    removed = await shown(carol)

    assert 0 <= ready["next"]["in_s"] <= 3
    assert "It freezes in " in ready["why"]
    assert "nothing has run since " in ready["why"]
    assert paused == "paused"
    assert 0 <= frozen["next"]["in_s"] <= 6
    assert "Nothing happened for 3 s, so it was frozen." in frozen["why"]
    assert "Nobody used it for long, so it was stopped." in stopped["why"]
    assert "Its container is removed in " in stopped["why"]
    assert (removed["state"], removed["next"]) == ("stopped", None)
    assert (await carol.own("GET", f"/session/{conversation}"))["title"] == "kept"


async def test_kept_awake_it_outlasts_one_that_is_not_until_that_is_ended(
    carol: Desk, dave: Desk
) -> None:
    await carol.own("GET", "/session")
    kept = await _keep_awake(carol, 3600)
    await dave.own("GET", "/session")  # used later, and so not frozen before its neighbour would be

    async with witnessed(carol) as witness:
        await until_it_is(dave, "frozen")
        meanwhile = witness.actions
        held = await shown(carol)
        await _keep_awake(carol, 0)
        await witness.sees("pause")

    assert kept["awake_until"] is not None
    assert meanwhile == []
    assert held["state"] == "ready"
    assert held["next"]["in_s"] > 3000
    assert "Kept awake until " in held["why"]


async def test_a_stop_waits_for_the_turn(carol: Desk) -> None:
    await carol.chat("hello")
    async with witnessed(carol) as witness:
        conversation = await prompted(carol, "stream for 4 seconds")
        await until_busy(carol, "a turn is running")
        stop = await carol.http.post(f"/api/sessions/{carol.session_id}/stop")
        ended = await witness.sees("die")
    told = await answer(carol, conversation)

    assert (stop.status_code, stop.json()["state"]) == (202, "stopped")
    assert (told.text[-4:], told.error) == ("end.", None)
    assert told.ended is not None
    assert told.ended < ended


async def test_a_stop_that_has_waited_long_enough_marks_the_turn_as_aborted(carol: Desk) -> None:
    await carol.chat("hello")
    async with witnessed(carol) as witness:
        conversation = await prompted(carol, "stream for 60 seconds")
        await until_busy(carol, "a turn is running")
        await carol.http.post(f"/api/sessions/{carol.session_id}/stop")
        ended = await witness.sees("die")
    told = await answer(carol, conversation)

    assert told.error == "MessageAbortedError"
    assert told.ended is not None
    assert _DRAIN_S < ended - told.asked < 60
    assert told.text.startswith("word 1 word 2 ")


async def _keep_awake(desk: Desk, for_s: int) -> dict[str, Any]:
    path = f"/api/sessions/{desk.session_id}/keep-awake"
    answered = await desk.http.post(path, json={"for_s": for_s})
    assert answered.status_code == 200, answered.text
    told: dict[str, Any] = answered.json()
    return told


async def _until_next(desk: Desk, state: str, action: str) -> dict[str, Any]:
    """Wait until this comes next in this state; returns what the owner is told of it."""
    told: dict[str, Any] = {}

    async def is_so() -> bool:
        told.update(await shown(desk))
        return told["state"] == state and bool(told["next"] and told["next"]["action"] == action)

    await until(is_so, f"{action} being next of what is {state}", within_s=90)
    return told


async def _is_gone(desk: Desk) -> bool:
    return await engine_status(desk) == ""
