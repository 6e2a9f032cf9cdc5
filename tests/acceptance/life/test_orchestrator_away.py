"""The orchestrator's process gone: what runs goes on, what must be started or woken says so, and
all is well when it is back.

There is no shared service here to serve anybody meanwhile.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

import httpx
import pytest

from tests.acceptance.life.conftest import PATIENT
from tests.support.desk import OWN, Desk, route, seated
from tests.support.engine import docker_host
from tests.support.life import Witness, engine_status, until_it_is, witnessed
from tests.support.scripted_model import Model
from tests.support.services import Services, services
from tests.support.turns import listening
from tests.support.waiting import until

# A machine with much else to do may take half a minute for a start.
pytestmark = [pytest.mark.docker, pytest.mark.opencode, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class People:
    """Alice's container is ready and kept so, Bob's is frozen, Carol's never ran."""

    alice: Desk
    bob: Desk
    carol: Desk


@pytest.fixture
async def apart(
    model: Model, opencode_binary: Path, tmp_path: Path
) -> AsyncIterator[tuple[Services, People]]:
    docker_host()
    async with services(tmp_path / "state", POOL_SIZE="0", FREEZE_AFTER_S="3", **PATIENT) as both:
        alice, bob, carol = [
            await seated(both.deployment(), model, name) for name in ("alice", "bob", "carol")
        ]
        await alice.own("GET", "/session")
        path = f"/api/sessions/{alice.session_id}/keep-awake"
        assert (await alice.http.post(path, json={"for_s": 3600})).status_code == 200
        await bob.own("GET", "/session")
        try:
            yield both, People(alice, bob, carol)
        finally:
            for desk in (alice, bob, carol):
                await desk.http.aclose()


async def test_what_runs_goes_on_and_what_sleeps_is_woken_when_it_is_back(
    apart: tuple[Services, People],
) -> None:
    both, people = apart
    async with listening(people.bob) as events, witnessed(people.bob) as witness:
        await until_it_is(people.bob, "frozen")
        await both.end("orchestrator", SIGKILL)
        await until(lambda: _is_away(both), "the gateway noticing")

        running = await people.alice.chat("hello")
        sleeping = await people.bob.http.get("/session")
        new = await people.carol.http.get("/session")
        meanwhile = witness.actions

        await both.start("orchestrator")
        conversation = await people.bob.conversation("after all")
        created = await events.next("session.created")
        started = await people.carol.http.get("/session")

    assert running == "Hello! I am a scripted model. You said: hello"
    assert _refusal(sleeping) == _refusal(new) == (503, "orchestrator_unavailable")
    assert min(int(each.headers["Retry-After"]) for each in (sleeping, new)) > 0
    assert meanwhile == ["pause"]
    assert created["properties"]["info"]["id"] == conversation
    assert (started.status_code, route(started)) == (200, OWN)
    assert await _lived_through(people.bob, witness)


async def _is_away(both: Services) -> bool:
    return not await both.are_connected()


def _refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["data"]["reason"]


async def _lived_through(desk: Desk, witness: Witness) -> bool:
    """Whether it is the same life of the same container that was frozen."""
    return await engine_status(desk) in ("running", "paused") and "die" not in witness.actions
