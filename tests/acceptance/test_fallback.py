"""A session whose image breaks is served by the shared service, as far as that is safe.

The image is good at first, so that there is a conversation to be careful with; then what it runs
never answers; in the end it is repaired.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.deployment import Deployment, deployed
from tests.support.desk import OWN, Desk, route, seated
from tests.support.engine import docker, docker_host
from tests.support.scripted_model import scripted_model
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode]

_GOOD = "opencode-gateway-agent:1.18.33"
_IMAGE = "opencode-gateway-test-breaks"
_STARTS_WITHIN_S = 15


@dataclass(frozen=True, slots=True)
class Broken:
    """A desk whose container can't be had, its conversation in there, and one made since then."""

    deployment: Deployment
    desk: Desk
    own: str
    first: httpx.Response

    @property
    def shared(self) -> str:
        return str(self.first.json()["id"])

    async def ask(self, method: str, path: str, **content: Any) -> httpx.Response:
        return await self.desk.http.request(method, path, **content)


@pytest.fixture(scope="module")
async def broken(
    opencode_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Broken]:
    docker_host()
    folder = tmp_path_factory.mktemp("fallback")
    docker("tag", _GOOD, _IMAGE)
    settings = {"AGENT_IMAGES": _IMAGE, "START_TIMEOUT_S": str(_STARTS_WITHIN_S)}
    async with (
        scripted_model("docker") as model,
        deployed(folder / "state", "docker", **settings) as running,
    ):
        desk = await seated(running, model, "alice")
        own = await desk.conversation("in the container")
        await desk.http.post(f"/api/sessions/{desk.session_id}/stop")
        _break(folder)
        first = await desk.http.post("/session", json={"title": "asked for once"})
        yield Broken(running, desk, own, first)


def _break(folder: Path) -> None:
    (folder / "Dockerfile").write_text(f'FROM {_GOOD}\nCMD ["sleep", "600"]\n')
    docker("build", "--quiet", "--tag", _IMAGE, str(folder))


async def test_a_request_that_waited_in_vain_is_served_by_the_shared_service(
    broken: Broken,
) -> None:
    assert broken.first.status_code == 200
    assert route(broken.first) == "shared; reason=start_timeout"


async def test_it_is_logged_and_counted(broken: Broken) -> None:
    session_id = broken.desk.session_id
    log = broken.deployment.lines()
    metrics = (await broken.ask("GET", "/gateway/metrics")).text

    assert f"It was not ready within {_STARTS_WITHIN_S} s." in log
    assert f"served by the shared service session={session_id} reason=start_timeout" in log
    assert 'opencode_gateway_fallbacks_total{reason="start_timeout"} 1.0' in metrics


async def test_what_it_was_asked_it_was_asked_once(broken: Broken) -> None:
    listed = await broken.ask("GET", "/session")

    assert (route(listed) or "").startswith("shared; reason=")
    assert [each["title"] for each in listed.json()].count("asked for once") == 1


async def test_a_conversation_of_the_container_waits_for_it(broken: Broken) -> None:
    answer = await broken.ask("GET", f"/session/{broken.own}/message")

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.json()["name"] == "ConversationUnavailable"
    assert answer.json()["data"]["code"] == "conversation_unavailable"


async def test_a_shell_is_not_opened_on_the_shared_service(broken: Broken) -> None:
    answer = await broken.ask("POST", "/pty", json={})

    assert answer.status_code == 503
    assert answer.json()["data"]["code"] == "not_on_shared"


async def test_after_the_repair_its_own_container_serves_it_again(broken: Broken) -> None:
    desk = broken.desk
    shared = await broken.ask("GET", f"/session/{broken.shared}")
    docker("tag", _GOOD, _IMAGE)

    await until(lambda: _is_back(broken), "its own conversation being answered", within_s=90)
    titles = [each["title"] for each in await desk.own("GET", "/session")]

    assert route(shared) == "shared; reason=conversation"
    assert titles == ["in the container"]  # what the shared service was asked is not asked again
    again = await broken.ask("GET", f"/session/{broken.shared}")
    assert (again.status_code, route(again)) == (200, "shared; reason=conversation")
    kept = await broken.ask("GET", f"/session/{broken.own}/message")
    assert (kept.status_code, route(kept)) == (200, OWN)


async def _is_back(broken: Broken) -> bool:
    """Ask for what only the container can answer; nobody asks for a start."""
    answer = await broken.ask("GET", f"/session/{broken.own}/message")
    return answer.status_code == 200
