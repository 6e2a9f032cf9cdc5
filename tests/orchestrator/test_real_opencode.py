"""The key paths with the real OpenCode, under each engine, as the gateway sees them.

One orchestrator and one session serve all tests of an engine, because OpenCode takes seconds to
boot; each test brings the session to ready itself, so that none depends on another.
"""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from orchestrator.app import create_app
from orchestrator.containers import name_of
from orchestrator.settings import Settings, load_settings
from tests.orchestrator.real_docker import ENVIRONMENT, docker, need_docker
from tests.orchestrator.real_opencode import command_lines, environment, kill, need_opencode
from tests.orchestrator.serving import Caller, call, serving

SESSIONS = "/agent-controller/sessions"
TOKEN = "sk-this-is-the-agents-own-token"


@dataclass
class World:
    """One deployment, and whatever of it is running now."""

    settings: Settings
    session_id: str
    caller: Caller

    async def ordered(self) -> httpx.Response:
        body = {
            "session_id": self.session_id,
            "user_id": "b" * 32,
            "agent": {
                "id": "a" * 32,
                "provider": "openai-compatible",
                "model": "scripted",
                "base_url": "http://127.0.0.1:9/v1",
            },
            "token": TOKEN,
            "force": True,
        }
        return await self.caller.post(f"{SESSIONS}/agent", json=body)

    async def ensured(self) -> dict[str, Any]:
        answer = await self.ordered()
        assert answer.status_code == 200, answer.text
        view: dict[str, Any] = answer.json()
        return view

    async def asked(
        self, view: dict[str, Any], method: str, path: str, **more: Any
    ) -> httpx.Response:
        address, credential = view["address"], view["credential"]
        return await self.caller.request(
            method,
            f"http://{address['host']}:{address['port']}{path}",
            auth=(credential["username"], credential["password"]),
            **more,
        )

    def kill(self) -> None:
        if self.dockers:
            docker("kill", self.name)
        else:
            kill(self.settings.state, self.session_id)

    def put(self, folder: Path, name: str, text: str) -> None:
        """Write a file of the workspace, whether or not its container runs."""
        if self.dockers:
            (folder / name).write_text(text)
            docker("cp", str(folder / name), f"{self.name}:/workspace/{name}")
        else:
            (self.settings.state / "volumes" / self.session_id / name).write_text(text)

    def shown(self) -> str:
        """All that the machine shows of the running container to whoever looks."""
        if self.dockers:
            return "".join(docker(look, self.name) for look in ("inspect", "logs", "top", "diff"))
        notes = [path.read_text() for path in (self.settings.state / "processes").iterdir()]
        return "".join(notes) + command_lines()

    def left(self) -> list[str]:
        """Containers, volumes and files of the session that are still there."""
        if self.dockers:
            of_name = ("-q", "-f", f"name={self.name}")
            return [
                *docker("ps", "-a", *of_name).split(),
                *docker("volume", "ls", *of_name).split(),
            ]
        return [str(path) for path in self.settings.state.rglob(f"{self.session_id}*")]

    @property
    def dockers(self) -> bool:
        return self.settings.engine == "docker"

    @property
    def name(self) -> str:
        return name_of(self.session_id)


ENGINES = ["process", pytest.param("docker", marks=pytest.mark.docker)]


@asynccontextmanager
async def prepared(engine: str, state: Path) -> AsyncIterator[Settings]:
    if engine == "docker":
        need_docker()
    else:
        need_opencode()
    network = f"opencode-gateway-test-{secrets.token_hex(4)}"
    given = {"ENGINE": engine, "STATE": str(state), "NETWORK": network, "POOL_SIZE": "0"}
    yield load_settings({**environment(), **ENVIRONMENT, **given})
    if engine == "docker":
        docker("network", "rm", network)


@asynccontextmanager
async def running(settings: Settings, session_id: str) -> AsyncIterator[World]:
    async with (
        serving(create_app(settings)) as address,
        call(address, settings.service_secret) as caller,
    ):
        yield World(settings, session_id, caller)


@pytest.fixture(scope="module", params=ENGINES)
async def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    async with (
        prepared(request.param, tmp_path_factory.mktemp("state")) as settings,
        running(settings, secrets.token_hex(16)) as world,
    ):
        yield world
        answer = await world.caller.delete(f"{SESSIONS}/{world.session_id}")
        assert answer.status_code == 204


pytestmark = pytest.mark.opencode


async def test_a_new_session_is_ready_and_has_its_agents_model(world: World) -> None:
    view = await world.ensured()
    config = (await world.asked(view, "GET", "/config")).json()

    assert config["model"] == "openai-compatible/scripted"
    assert view["timings"]["ready_s"] < world.settings.start_timeout_s


async def test_without_the_password_it_answers_nobody(world: World) -> None:
    view = await world.ensured()
    view["credential"] = {"username": "opencode", "password": "wrong"}

    assert (await world.asked(view, "GET", "/session")).status_code == 401


async def test_conversations_and_files_outlive_a_stop(world: World) -> None:
    view = await world.ensured()
    made = (await world.asked(view, "POST", "/session", json={})).json()
    stopped = (await world.caller.post(f"{SESSIONS}/{world.session_id}/stop")).json()
    assert stopped["state"] == "stopped"

    again = await world.ensured()
    found = await world.asked(again, "GET", f"/session/{made['id']}")
    assert (found.status_code, again["generation"]) == (200, view["generation"] + 1)


async def test_a_kill_is_noticed_in_well_under_a_second_and_the_next_request_repairs_it(
    world: World,
) -> None:
    view = await world.ensured()
    made = (await world.asked(view, "POST", "/session", json={})).json()
    async with world.caller.stream("GET", "/agent-controller/events") as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == "event: snapshot"
        world.kill()
        with anyio.fail_after(1):
            told = [line async for line in _until(lines, '"stopped"')]
    assert "signal 9" in told[-1]

    again = await world.ensured()
    assert (await world.asked(again, "GET", f"/session/{made['id']}")).status_code == 200


async def _until(lines: AsyncIterator[str], word: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if word in line:
            return


@pytest.mark.parametrize("engine", ENGINES)
async def test_the_next_run_of_the_orchestrator_adopts_it(engine: str, tmp_path: Path) -> None:
    session_id = secrets.token_hex(16)
    async with prepared(engine, tmp_path) as settings:
        async with running(settings, session_id) as world:
            before = await world.ensured()
        async with running(settings, session_id) as world:
            after = (await world.caller.get(f"{SESSIONS}/{session_id}")).json()
            await world.caller.delete(f"{SESSIONS}/{session_id}")

    same = ["state", "generation", "container_id", "address", "credential"]
    assert {name: after[name] for name in same} == {name: before[name] for name in same}


async def test_a_broken_project_file_is_told_at_once_and_by_name(
    world: World, tmp_path: Path
) -> None:
    await world.ensured()
    world.put(tmp_path, "opencode.json", "{broken")
    await world.caller.post(f"{SESSIONS}/{world.session_id}/stop")
    answer = await world.ordered()
    world.put(tmp_path, "opencode.json", "{}")

    assert (answer.status_code, answer.json()["data"]["phase"]) == (502, "checking")
    assert "ConfigJsonError in" in answer.json()["data"]["why"]


async def test_secrets_are_in_no_log_no_argument_and_no_file(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    view = await world.ensured()
    shown = world.shown()

    for secret in (TOKEN, view["credential"]["password"]):
        assert secret not in shown
        assert secret not in caplog.text


async def test_deleting_leaves_nothing_behind(world: World) -> None:
    view = await world.ensured()
    assert name_of(world.session_id) == view["volume"]
    answer = await world.caller.delete(f"{SESSIONS}/{world.session_id}")

    assert answer.status_code == 204
    assert world.left() == []
    assert (await world.caller.get(SESSIONS)).json() == {"sessions": []}
