"""The orchestrator and the gateway end and come back, each alone, while people work."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest

from tests.support.desk import OWN, Desk, route, seated
from tests.support.engine import docker, docker_host
from tests.support.scripted_model import scripted_model
from tests.support.services import Services, services
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode]


@pytest.fixture(scope="module")
async def both(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Services]:
    docker_host()
    async with services(tmp_path_factory.mktemp("restarts") / "state") as both:
        yield both


@pytest.fixture(scope="module")
async def alice(both: Services, opencode_binary: Path) -> AsyncIterator[Desk]:
    async with scripted_model("docker") as model:
        desk = await seated(both.deployment(), model, "alice")
        await desk.own("GET", "/session")
        yield desk
        await desk.http.aclose()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_without_the_orchestrator_work_goes_on_and_it_adopts_what_runs(
    both: Services, alice: Desk, how: signal.Signals
) -> None:
    before = _life(alice)
    conversation_id = await alice.conversation(f"through {how.name}")
    async with alice.http.stream("GET", "/global/event") as events:
        heard = events.aiter_text()
        await anext(heard)

        await both.end("orchestrator", how)
        told = await alice.chat("hello", conversation_id=conversation_id)
        await both.start("orchestrator")

        assert told == "Hello! I am a scripted model. You said: hello"
        assert (await alice.http.get(f"/api/sessions/{alice.session_id}")).json()[
            "state"
        ] == "ready"
        assert await _hears(heard, conversation_id)
    assert _life(alice) == before


async def test_an_adopted_container_is_still_known_by_its_own_password(
    both: Services, alice: Desk
) -> None:
    """The gateway learns it anew from the new orchestrator, and a start must not be the way."""
    before = _life(alice)
    await both.end("orchestrator", signal.SIGKILL)
    await both.end("gateway", signal.SIGKILL)

    await both.start("orchestrator")
    await both.start("gateway")

    await alice.own("GET", "/session")
    assert _life(alice) == before


async def test_a_container_that_died_meanwhile_is_back_on_the_next_request(
    both: Services, alice: Desk
) -> None:
    conversation_id = await alice.conversation("before both ended")
    await both.end("orchestrator", signal.SIGKILL)
    docker("kill", alice.container)
    await both.start("orchestrator")

    found = await alice.own("GET", f"/session/{conversation_id}")

    assert found["title"] == "before both ended"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_gateway_restart_keeps_every_session_and_cookie(
    both: Services, alice: Desk, how: signal.Signals
) -> None:
    before = _life(alice)
    conversation_id = await alice.conversation("kept")

    await both.end("gateway", how)
    await both.start("gateway")

    by_token = {"Authorization": f"Bearer {alice.access_token}"}
    async with httpx.AsyncClient(base_url=alice.base_url) as program:  # noqa: TID251
        answer = await program.get(f"/session/{conversation_id}", headers=by_token)
    assert (answer.status_code, route(answer)) == (200, OWN)
    assert (await alice.own("GET", f"/session/{conversation_id}"))["title"] == "kept"
    assert (await alice.http.get("/gateway/me")).json()["session"]["id"] == alice.session_id
    assert _life(alice) == before


async def test_without_the_orchestrator_a_session_that_must_start_is_told_why(
    both: Services, alice: Desk
) -> None:
    await both.end("orchestrator", signal.SIGTERM)

    async def noticed() -> bool:
        return not await both.are_connected()

    await until(noticed, "the gateway noticing")
    created = await alice.http.post("/api/sessions", json={})
    by_token = {"Authorization": f"Bearer {created.json()['access_token']}"}
    async with httpx.AsyncClient(base_url=alice.base_url) as program:  # noqa: TID251
        answer = await program.get("/session", headers=by_token)
    await both.start("orchestrator")

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["data"]["code"] == "container_unavailable"


def _life(desk: Desk) -> str:
    """Which container it is and since when it runs."""
    return docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", desk.container)


async def _hears(events: AsyncIterator[str], text: str) -> bool:
    with anyio.fail_after(15):
        async for event in events:
            if text in event:
                return True
    return False
