"""Containers that hang or are removed by hand, and an engine that goes away and comes back."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.support.absent import absent
from tests.support.deployment import Deployment, deployed
from tests.support.desk import OWN, Desk, route, seated
from tests.support.engine import docker, docker_host
from tests.support.engine_proxy import EngineProxy, engine_proxy
from tests.support.opencode_server import PASSWORD, opencode_server
from tests.support.scripted_model import Model, scripted_model
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode]

# Asked every 10 s, it must miss twice, and the second answer is waited for 5 s; the rest is slack.
_SILENCE_NOTICED_S = 28
_ENDS_WITHIN_S = 15


@dataclass(frozen=True, slots=True)
class Place:
    """A deployment, the line between it and its engine, and the model of whoever works in it."""

    deployment: Deployment
    engine: EngineProxy
    model: Model

    async def desk(self, username: str) -> Desk:
        return await seated(self.deployment, self.model, username)


@pytest.fixture(scope="module")
async def place(
    opencode_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Place]:
    host = docker_host()
    if host is not None and not host.startswith("unix://"):
        absent(f"The engine's line can be cut at a socket only, not at {host}.")
    folder = tmp_path_factory.mktemp("faults")
    async with (
        engine_proxy(host, folder / "engine.sock") as engine,
        scripted_model("docker") as model,
        # Beside the engine, so that what is seen here is what becomes of sessions alone.
        opencode_server(tmp_path_factory.mktemp("shared"), "http://127.0.0.1:9") as shared,
        deployed(
            folder / "state",
            "docker",
            DOCKER_HOST=engine.address,
            SHARED_URL=shared,
            SHARED_PASSWORD=PASSWORD,
        ) as running,
    ):
        yield Place(running, engine, model)


@pytest.fixture(scope="module")
async def alice(place: Place) -> Desk:
    desk = await place.desk("alice")
    await desk.own("GET", "/session")
    return desk


async def test_a_hung_server_is_noticed_and_the_session_goes_on_in_a_new_start(
    alice: Desk,
) -> None:
    conversation_id = await alice.conversation("before it hung")
    before = await _docker("inspect", "--format", "{{.State.StartedAt}}", alice.container)

    # Its port stays open, and nothing answers there.
    await _docker("exec", alice.container, "sh", "-c", "kill -STOP $(pidof opencode)")
    async with anyio.create_task_group() as meanwhile:
        meanwhile.start_soon(_is_answered, alice)
        await until(partial(_is_not_ready, alice), "its silence noticed", _SILENCE_NOTICED_S)
        listed = await alice.own("GET", "/session")

    after = await _docker("inspect", "--format", "{{.State.StartedAt}}", alice.container)
    assert conversation_id in [each["id"] for each in listed]
    assert after != before


async def _is_answered(desk: Desk) -> None:
    """By the new start; or told that it broke off, if the request had reached the old one."""
    answer = await desk.http.get("/session")
    assert (answer.status_code, route(answer)) in [(200, OWN), (502, OWN)]


async def test_a_removed_container_is_replaced_and_keeps_its_conversations(alice: Desk) -> None:
    conversation_id = await alice.conversation("before the removal")
    before = await _docker("inspect", "--format", "{{.Id}}", alice.container)

    async with alice.http.stream("GET", "/global/event") as events:
        await _docker("rm", "--force", alice.container)
        await _end(events)
    # The second end in a row: it is not started again at once.
    await until(partial(_is_its_own_again, alice), "requests being answered by the container")
    found = await alice.own("GET", f"/session/{conversation_id}")

    assert found["title"] == "before the removal"
    assert await _docker("inspect", "--format", "{{.Id}}", alice.container) != before


async def test_without_its_volume_a_session_starts_empty_and_works(alice: Desk) -> None:
    lost = await alice.conversation("lost")

    await _docker("rm", "--force", alice.container)
    await _docker("volume", "rm", alice.container)
    # The second end in a row: it is not started again at once.
    await until(partial(_is_its_own_again, alice), "requests being answered by the container")
    listed = await alice.own("GET", "/session")
    missing = await alice.http.get(f"/session/{lost}")

    assert listed == []
    assert (missing.status_code, route(missing)) == (404, OWN)
    assert await alice.chat("hello") == "Hello! I am a scripted model. You said: hello"


@pytest.fixture(scope="module")
async def bob(place: Place) -> tuple[Desk, str]:
    """A desk whose container is stopped, and a conversation in there."""
    desk = await place.desk("bob")
    conversation_id = await desk.conversation("in the container")
    await desk.http.post(f"/api/sessions/{desk.session_id}/stop")

    async def is_over() -> bool:
        shown = (await desk.http.get(f"/api/sessions/{desk.session_id}")).json()
        return shown["state"] == "stopped" and "phase" not in shown

    await until(is_over, "its stop being over")  # it is answered before
    return desk, conversation_id


@pytest.fixture(scope="module")
async def cut(place: Place, alice: Desk, bob: tuple[Desk, str]) -> EngineProxy:
    """The engine's socket is gone; the last test brings it back."""
    await until(partial(_is_its_own_again, alice), "requests being answered by the container")
    place.engine.cut()
    return place.engine


async def test_without_the_engine_what_is_ready_goes_on(cut: EngineProxy, alice: Desk) -> None:
    assert await alice.chat("hello") == "Hello! I am a scripted model. You said: hello"


async def test_without_the_engine_the_shared_service_serves_what_must_start(
    cut: EngineProxy, bob: tuple[Desk, str]
) -> None:
    desk, _ = bob
    made = await desk.http.post("/session", json={"title": "meanwhile"})

    assert (made.status_code, route(made)) == (200, "shared; reason=engine_unavailable")


async def test_without_the_engine_what_only_the_container_has_is_refused_in_a_sentence(
    cut: EngineProxy, bob: tuple[Desk, str]
) -> None:
    desk, conversation_id = bob
    answer = await desk.http.get(f"/session/{conversation_id}/message")
    shown = (await desk.http.get(f"/api/sessions/{desk.session_id}")).json()

    assert (answer.status_code, answer.json()["name"]) == (503, "ConversationUnavailable")
    assert int(answer.headers["Retry-After"]) > 0
    assert shown["why"].startswith("The Docker Engine does not answer (unix://")


async def test_without_the_engine_a_death_is_noticed_by_silence(
    cut: EngineProxy, alice: Desk
) -> None:
    await _docker("kill", alice.container)

    await until(partial(_is_not_ready, alice), "its silence noticed", _SILENCE_NOTICED_S)
    shown = (await alice.http.get(f"/api/sessions/{alice.session_id}")).json()

    assert shown["why"].startswith("It stopped answering: ")


async def test_when_the_engine_is_back_so_is_the_session(
    cut: EngineProxy, alice: Desk, bob: tuple[Desk, str]
) -> None:
    desk, conversation_id = bob
    await cut.listen()

    for each in (desk, alice):
        await until(partial(_is_its_own_again, each), "answers by the container", within_s=60)
    found = await desk.own("GET", f"/session/{conversation_id}")
    assert found["title"] == "in the container"


async def _docker(*arguments: str) -> str:
    """Ask the engine itself; the line to it is kept going by this very event loop meanwhile."""
    return await anyio.to_thread.run_sync(lambda: docker(*arguments))


async def _is_not_ready(desk: Desk) -> bool:
    shown = await desk.http.get(f"/api/sessions/{desk.session_id}")
    return bool(shown.json()["state"] != "ready")


async def _is_its_own_again(desk: Desk) -> bool:
    return route(await desk.http.get("/session")) == OWN


async def _end(events: httpx.Response) -> None:
    """Read to the end of a stream, which may be a broken one."""
    with anyio.fail_after(_ENDS_WITHIN_S), suppress(httpx.TransportError):
        async for _ in events.aiter_bytes():
            pass
