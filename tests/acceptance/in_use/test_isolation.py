"""Two people at once: each has their own OpenCode, and nobody else has any."""

from base64 import b64encode
from typing import Any

import anyio
import httpx
import pytest

from tests.support.deployment import Deployment
from tests.support.desk import Desk, route, seated
from tests.support.engine import docker
from tests.support.scripted_model import Model

pytestmark = [pytest.mark.docker, pytest.mark.opencode]


async def test_two_people_have_two_containers(
    deployment: Deployment, alice: Desk, bob: Desk
) -> None:
    await alice.own("GET", "/session")
    await bob.own("GET", "/session")

    assert _container_id(alice) != _container_id(bob)


async def test_nobody_sees_another_ones_conversations(
    deployment: Deployment, alice: Desk, bob: Desk
) -> None:
    conversation_id = await alice.conversation("for Alice alone")

    assert conversation_id in {each["id"] for each in await alice.own("GET", "/session")}
    assert conversation_id not in {each["id"] for each in await bob.own("GET", "/session")}
    assert (await bob.http.get(f"/session/{conversation_id}")).status_code == 404


async def test_nobody_sees_another_ones_files(
    deployment: Deployment, alice: Desk, bob: Desk
) -> None:
    await alice.chat("run: echo private > alices.txt")

    look = {"path": "alices.txt"}
    assert (await alice.own("GET", "/file/content", params=look))["content"] == "private"
    assert "alices.txt" not in await bob.chat("run: ls -R /workspace /tmp 2>&1")
    assert (await bob.own("GET", "/file/content", params=look))["content"] == ""


async def test_nobody_hears_another_ones_events(
    deployment: Deployment, alice: Desk, bob: Desk
) -> None:
    heard: dict[str, str] = {}
    async with anyio.create_task_group() as both:
        both.start_soon(_hear, alice, "said by Alice", "/global/event", heard)
        both.start_soon(_hear, bob, "said by Bob", "/global/event", heard)

    assert "said by Alice" in heard["alice"]
    assert "said by Bob" in heard["bob"]
    assert "Bob" not in heard["alice"]
    assert "Alice" not in heard["bob"]


async def _hear(desk: Desk, prompt: str, path: str, heard: dict[str, str]) -> None:
    """Chat while listening, and listen until the answer has been told as an event."""
    seen = ""
    with anyio.fail_after(60):
        async with desk.http.stream("GET", path) as stream, anyio.create_task_group() as beside:
            async for text in stream.aiter_text():
                if not seen:
                    beside.start_soon(desk.chat, prompt)
                seen += text
                # An earlier turn's end may still be told after the stream has begun.
                if prompt in seen and '"session.idle"' in seen.rpartition(prompt)[2]:
                    break
    heard[desk.person.username] = seen


async def test_another_ones_session_is_as_if_it_did_not_exist(
    deployment: Deployment, alice: Desk, bob: Desk
) -> None:
    path = f"/api/sessions/{alice.session_id}"

    answers = [
        await bob.http.get(path),
        await bob.http.post(f"{path}/activate"),
        await bob.http.post(f"{path}/stop"),
        await bob.http.post(f"{path}/chat", json={"prompt": "hello"}),
        await bob.http.delete(path),
    ]

    assert [answer.status_code for answer in answers] == [404] * 5
    assert (await alice.http.get(path)).json()["state"] == "ready"


@pytest.fixture
async def carol(deployment: Deployment, model: Model) -> Desk:
    """Somebody whose container must not be started by anybody else."""
    return await seated(deployment, model, "carol")


async def test_wrong_credentials_reach_no_container(deployment: Deployment, carol: Desk) -> None:
    name, _, value = carol.cookie.partition("=")
    wrong: list[dict[str, Any]] = [
        {},
        {"headers": {"Cookie": f"{name}={value[:-4]}AAAA"}},
        {"headers": {"Cookie": f"{name}={carol.session_id}"}},
        {"headers": {"Authorization": f"Bearer {carol.session_id}"}},
        {"headers": {"Authorization": f"Bearer {carol.access_token[:-1]}"}},
        {"headers": {"Authorization": _basic(carol.session_id)}},
        {"headers": {"Authorization": _basic("")}},
        {"headers": {"Authorization": "Digest username=opencode"}},
        {"params": {"auth_token": b64encode(b"opencode:guess").decode()}},
    ]

    async with httpx.AsyncClient(base_url=carol.base_url) as stranger:  # noqa: TID251
        answers = [await stranger.get("/session", **each) for each in wrong]

    assert [answer.status_code for answer in answers] == [401] * len(wrong)
    assert {route(answer) for answer in answers} == {None}
    assert docker("ps", "--all", "--quiet", "--filter", f"name={carol.container}") == ""
    assert (await carol.http.get(f"/api/sessions/{carol.session_id}")).json()["state"] == "new"


def _basic(password: str) -> str:
    return f"Basic {b64encode(f'opencode:{password}'.encode()).decode()}"


def _container_id(desk: Desk) -> str:
    return docker("inspect", "--format", "{{.Id}}", desk.container)
