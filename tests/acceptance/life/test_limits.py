"""One's own limit and everybody's are told apart, and room is made by what is missed least."""

from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGTERM

import httpx
import pytest

from tests.acceptance.life.conftest import PATIENT
from tests.support.desk import OWN, Desk, route, seated
from tests.support.engine import docker_host
from tests.support.life import engine_status, shown, until_it_is
from tests.support.scripted_model import Model
from tests.support.services import Services, services

# A machine with much else to do may take half a minute for a start.
pytestmark = [pytest.mark.docker, pytest.mark.opencode, pytest.mark.timeout(300)]

_MIB = 1 << 20
_LIMITS = {"MAX_CONTAINERS": "2", "MAX_CONTAINERS_PER_USER": "1", **PATIENT}


@pytest.fixture(scope="module")
async def narrow(
    model: Model, opencode_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Services]:
    docker_host()
    state = tmp_path_factory.mktemp("narrow") / "state"
    async with services(state, POOL_SIZE="0", FREEZE_AFTER_S="3", **_LIMITS) as both:
        yield both


@pytest.fixture(scope="module")
async def alice(narrow: Services, model: Model) -> AsyncIterator[Desk]:
    desk = await seated(narrow.deployment(), model, "alice")
    await _keep_awake(desk)
    yield desk
    await desk.http.aclose()


@pytest.fixture(scope="module")
async def bob(narrow: Services, model: Model) -> AsyncIterator[Desk]:
    desk = await seated(narrow.deployment(), model, "bob")
    await _keep_awake(desk)
    yield desk
    await desk.http.aclose()


@pytest.fixture(scope="module")
async def carol(narrow: Services, model: Model) -> AsyncIterator[Desk]:
    desk = await seated(narrow.deployment(), model, "carol")
    yield desk
    await desk.http.aclose()


async def test_who_has_as_many_as_they_may_is_told_that_it_is_their_own_limit(alice: Desk) -> None:
    second = await alice.person.session()
    await alice.http.post(f"/api/sessions/{alice.session_id}/activate")

    refused = await _asked(alice, second["access_token"])

    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.json()["data"]["code"] == "too_many_containers"
    assert refused.json()["data"]["message"].startswith("At most 1 of your sessions may have")
    assert (await alice.http.get(f"/api/sessions/{alice.session_id}")).json()["state"] == "ready"


async def test_who_comes_when_all_places_are_taken_is_told_that_it_is_not_theirs(
    alice: Desk, bob: Desk, carol: Desk
) -> None:
    refused = await _asked(carol, carol.access_token)

    assert refused.status_code == 503
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.json()["data"]["reason"] == "no_room"
    assert refused.json()["data"]["why"].startswith("At most 2 containers may run")
    assert await engine_status(carol) == ""


async def test_where_memory_is_short_the_longest_frozen_gives_way(
    narrow: Services, alice: Desk, bob: Desk, carol: Desk
) -> None:
    await _keep_awake(alice, 0)
    await _keep_awake(bob, 0)
    used = [(await until_it_is(desk, "frozen"))["memory_bytes"] for desk in (alice, bob)]
    # Room for what both use and half of what one more is thought to need.
    await _restarted(narrow, MAX_CONTAINERS="0", MEMORY_TOTAL_BYTES=str(sum(used) + 128 * _MIB))
    for desk in (alice, bob):
        await desk.own("GET", "/session")
        await until_it_is(desk, "frozen")

    let_in = await _asked(carol, carol.access_token)

    assert (let_in.status_code, route(let_in)) == (200, OWN)
    assert (await shown(alice))["state"] == "stopped"
    assert (await shown(alice))["why"].startswith("It was stopped to make room for another session")
    assert (await shown(bob))["state"] == "frozen"
    assert [await engine_status(each) for each in (alice, bob)] == ["exited", "paused"]


async def _asked(desk: Desk, access_token: str) -> httpx.Response:
    """A session's first request, by a program that holds its token."""
    authorization = {"Authorization": f"Bearer {access_token}"}
    async with httpx.AsyncClient(base_url=desk.base_url, timeout=120) as program:  # noqa: TID251
        return await program.get("/session", headers=authorization)


async def _keep_awake(desk: Desk, for_s: int = 3600) -> None:
    await desk.own("GET", "/session")
    path = f"/api/sessions/{desk.session_id}/keep-awake"
    assert (await desk.http.post(path, json={"for_s": for_s})).status_code == 200


async def _restarted(both: Services, **settings: str) -> None:
    """Have the orchestrator run with other settings; what runs is adopted as it is."""
    both.environ.update(settings)
    await both.end("orchestrator", SIGTERM)
    await both.start("orchestrator")
