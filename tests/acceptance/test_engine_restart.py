"""The engine itself is killed and started again, under a deployment that people use."""

from functools import partial
from pathlib import Path

import pytest

from tests.support.desk import OWN, Desk, route, seated
from tests.support.engine import docker_host
from tests.support.own_engine import own_engine
from tests.support.scripted_model import scripted_model
from tests.support.services import services
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode, pytest.mark.timeout(400)]

_BACK_WITHIN_S = 120


async def test_an_engine_that_is_killed_and_started_again_costs_nobody_a_conversation(
    opencode_binary: Path, tmp_path: Path
) -> None:
    docker_host()
    async with (
        scripted_model("docker") as model,
        own_engine() as engine,
        services(tmp_path / "state", DOCKER_HOST=engine.address, POOL_SIZE="0") as both,
    ):
        alice = await seated(both.deployment(), model, "alice")
        conversation_id = await alice.conversation("before the engine was killed")

        await engine.kill()
        meanwhile = await alice.own("GET", f"/session/{conversation_id}")
        # It comes back with none of its containers running.
        await engine.start()
        await until(partial(_is_found, alice, conversation_id), "it again", _BACK_WITHIN_S)
        shown = (await alice.http.get(f"/api/sessions/{alice.session_id}")).json()
        await alice.http.aclose()

    assert meanwhile["title"] == "before the engine was killed"
    assert shown["state"] == "ready"


async def _is_found(desk: Desk, conversation_id: str) -> bool:
    answer = await desk.http.get(f"/session/{conversation_id}")
    if answer.status_code != 200:
        return False
    assert route(answer) == OWN
    return bool(answer.json()["title"] == "before the engine was killed")
