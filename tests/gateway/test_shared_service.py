"""The shared service that `up` runs, in both forms, with the real OpenCode.

What people may ask of it through the gateway is routing's affair. Here it is asked directly, with
its password, for what it must not be able to do even then.
"""

import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from demo.__main__ import shared_environment
from gateway.cli.environment import PROJECT
from gateway.cli.shared import (
    PERMISSION,
    Child,
    SharedService,
    kept_running,
    local_process,
    shared_service,
)
from gateway.cli.shared_container import container
from orchestrator.app import deployment as deployment_mark
from orchestrator.settings import Settings, load_settings
from tests.support.deployment import CLEAN_ENVIRONMENT, UP, clear_away, deployed, running
from tests.support.engine import docker, docker_host
from tests.support.installed import installed_opencode
from tests.support.scripted_model import KEY, Model, scripted_model
from tests.support.waiting import until

pytestmark = pytest.mark.opencode
in_container = pytest.mark.docker
_EACH_FORM = ["process", pytest.param("docker", marks=in_container)]
_SECRET_OF_THE_HOST = "canary-of-the-host"


@dataclass(frozen=True, slots=True)
class Served:
    service: SharedService
    child: Child
    settings: Settings
    http: httpx.AsyncClient  # noqa: TID251 - who knows its password

    @property
    def name(self) -> str:
        command = self.child.command
        return command[command.index("--name") + 1]

    async def conversation(self) -> str:
        return str((await self.http.post("/session", json={})).json()["id"])

    async def has_answered(self) -> bool:
        return await anyio.to_thread.run_sync(self.service.answers)


@asynccontextmanager
async def _served(engine: str, model: Model, state: Path) -> AsyncIterator[Served]:
    environ = {**CLEAN_ENVIRONMENT, "STATE": str(state), "ENGINE": engine}
    settings = load_settings(environ)
    service = shared_service()
    port = int(model.base_url.rpartition(":")[2].partition("/")[0])
    extra = await anyio.to_thread.run_sync(shared_environment, KEY, port, engine)
    make: Callable[[], Child]
    if engine == "docker":
        make = partial(container, service, settings, state / "shared", environ, extra)
    else:
        seen = {"PATH": environ["PATH"], **extra}
        make = partial(local_process, service, installed_opencode(), state / "shared", seen)
    child = make()
    client = httpx.AsyncClient(  # noqa: TID251
        base_url=service.url, auth=("opencode", service.password), timeout=60
    )
    async with client as http, kept_running(child):
        served = Served(service, child, settings, http)
        await until(served.has_answered, "the shared service answering", within_s=60)
        yield served


@contextmanager
def _cleared_away(state: Path) -> Iterator[None]:
    try:
        yield
    finally:
        clear_away(state)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared") / "state"


@pytest.fixture(scope="module", params=_EACH_FORM)
async def served(request: pytest.FixtureRequest, state: Path) -> AsyncIterator[Served]:
    engine = str(request.param)
    if engine == "docker":
        docker_host()
    folder = state / engine
    with _cleared_away(folder):
        async with scripted_model(engine) as model, _served(engine, model, folder) as served:
            yield served


@pytest.fixture(scope="module")
async def contained(state: Path) -> AsyncIterator[Served]:
    docker_host()
    folder = state / "contained"
    with _cleared_away(folder):
        async with scripted_model("docker") as model, _served("docker", model, folder) as served:
            (folder / "secret").write_text(_SECRET_OF_THE_HOST)
            yield served


async def test_it_answers_who_knows_its_password(served: Served) -> None:
    async with httpx.AsyncClient(base_url=served.service.url) as stranger:  # noqa: TID251
        refused = await stranger.get("/session", auth=("opencode", "guessed"))

    assert (await served.http.get("/session")).status_code == 200
    assert refused.status_code == 401


async def test_a_model_talks_there_and_is_refused_a_command(served: Served) -> None:
    talk = await _prompt(served, "hello")
    command = await _prompt(served, "run: echo $((6*7)) > made; id")

    assert "You said: hello" in json.dumps(talk)
    assert "uid=" not in json.dumps(command)
    assert "bash" not in [part["tool"] for part in command if part["type"] == "tool"]


async def _prompt(served: Served, text: str) -> list[dict[str, Any]]:
    """Return the parts of every answer in a new conversation."""
    path = f"/session/{await served.conversation()}/message"
    told = await served.http.post(path, json={"parts": [{"type": "text", "text": text}]})
    assert told.status_code == 200, told.text
    messages = (await served.http.get(path)).json()
    return [part for each in messages[1:] for part in each["parts"]]


@in_container
async def test_a_shell_in_it_is_nobody_in_particular_and_sees_no_file_of_the_host(
    contained: Served,
) -> None:
    secret = contained.settings.state / "secret"
    command = f"id -u; cat {secret}; ls -d {contained.settings.state} {PROJECT}"
    path = f"/session/{await contained.conversation()}/shell"

    told = await contained.http.post(path, json={"agent": "build", "command": command})

    assert told.status_code == 200, told.text
    output: str = told.json()["parts"][0]["state"]["output"]
    assert output.splitlines()[0] == "1000"
    assert _SECRET_OF_THE_HOST not in output
    assert output.count("No such file or directory") == 3


@in_container
async def test_its_secrets_are_in_nothing_that_the_machine_shows(contained: Served) -> None:
    shown = docker("inspect", contained.name) + docker("volume", "inspect", contained.name)
    process = Path("/proc", str(_docker_run(contained)))
    shown += (process / "cmdline").read_text() + (process / "environ").read_text()

    assert contained.name in shown
    assert contained.service.password not in shown
    assert KEY not in shown


def _docker_run(contained: Served) -> int:
    return int((contained.child.home / "process").read_text().split()[0])


@in_container
async def test_it_is_bound_as_a_session_is_and_not_counted_among_them(contained: Served) -> None:
    shown = json.loads(docker("inspect", contained.name))[0]
    host, labels = shown["HostConfig"], shown["Config"]["Labels"]

    assert shown["Config"]["User"] == "1000:1000"
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Memory"] == host["MemorySwap"] == contained.settings.limits.memory_bytes
    assert host["PidsLimit"] == contained.settings.limits.pids
    assert host["NanoCpus"] == contained.settings.limits.cpus * 1_000_000_000
    assert [mount["Name"] for mount in shown["Mounts"]] == [contained.name]
    assert host["PortBindings"]["4096/tcp"][0]["HostIp"] == "127.0.0.1"
    assert labels["opencode-gateway.shared"] == "true"
    assert "opencode-gateway.managed" not in labels


@in_container
@pytest.mark.parametrize("killed", ["container", "docker run"])
async def test_what_is_killed_is_started_again(killed: str, contained: Served) -> None:
    first = docker("inspect", "--format", "{{.Id}}", contained.name)
    if killed == "container":
        docker("kill", contained.name)
    else:  # and the container lives on
        os.kill(_docker_run(contained), signal.SIGKILL)

    async def is_another() -> bool:
        now = docker("ps", "-q", "--no-trunc", "--filter", f"name={contained.name}")
        return now not in ("", first) and await contained.has_answered()

    await until(is_another, "another container answering", within_s=60)


def test_what_the_operator_configured_is_told_to_the_container(tmp_path: Path) -> None:
    file = tmp_path / "state" / "shared" / ".config" / "opencode" / "opencode.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"username": "it\'s the operator\'s"}')
    environ = {**CLEAN_ENVIRONMENT, "STATE": str(tmp_path / "state"), "ENGINE": "docker"}

    home = file.parents[2]
    child = container(shared_service(), load_settings(environ), home, environ, extra={})

    exports = child.script.decode().partition("mkdir")[0]
    shell = ["/bin/sh", "-c", f'{exports}\nprintf %s "$OPENCODE_CONFIG_CONTENT"']
    assert subprocess.run(shell, capture_output=True).stdout.decode() == file.read_text()


@in_container
async def test_its_end_leaves_no_container(tmp_path: Path) -> None:
    docker_host()
    state = tmp_path / "state"
    with _cleared_away(state):
        async with scripted_model("docker") as model, _served("docker", model, state) as served:
            assert docker("ps", "-aq", "--filter", f"name={served.name}")

        assert not docker("ps", "-aq", "--filter", f"name={served.name}")


@pytest.mark.parametrize("engine", _EACH_FORM)
async def test_what_a_killed_up_left_is_replaced(engine: str, tmp_path: Path) -> None:
    if engine == "docker":
        docker_host()
    state = tmp_path / "state"
    # Not by `deployed`, which would clear away what the second one is to find.
    environ = {**CLEAN_ENVIRONMENT, "STATE": str(state), "PORT": "0", "ENGINE": engine}
    async with running(UP, environ, tmp_path / "log") as up:
        await _said(up)
        left = await anyio.to_thread.run_sync(_shared_ones, engine, state)
        up.send_signal(signal.SIGKILL)
        await up.wait()
        assert await anyio.to_thread.run_sync(_shared_ones, engine, state) == left

    async with deployed(state, engine):
        now = await anyio.to_thread.run_sync(_shared_ones, engine, state)

    assert len(left) == len(now) == 1
    assert left != now
    assert not await anyio.to_thread.run_sync(_shared_ones, engine, state)


def _shared_ones(engine: str, state: Path) -> set[str]:
    """What serves as the shared service of this folder: containers, or processes, by id."""
    if engine == "docker":
        mark = deployment_mark((state / "keys" / "orchestrator.key").read_bytes().strip())
        labels = ("opencode-gateway.shared=true", f"opencode-gateway.deployment={mark}")
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        return set(docker("ps", "-aq", *filters).split())
    home = f"HOME={state / 'shared'}\0".encode()
    return {process.name for process in Path("/proc").glob("[0-9]*") if home in _environ(process)}


def _environ(process: Path) -> bytes:
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""


@in_container
async def test_without_the_docker_command_there_is_none_and_up_says_so(tmp_path: Path) -> None:
    docker_host()
    environ = {
        **CLEAN_ENVIRONMENT,
        "STATE": str(tmp_path / "state"),
        "PORT": "0",
        "ENGINE": "docker",
        "PATH": str(tmp_path),
        # Another image than the one that `up` would look for with that command.
        "AGENT_IMAGES": "an-operators-own",
    }
    with _cleared_away(tmp_path / "state"):
        async with running(UP, environ, tmp_path / "log") as up:
            said = await _said(up)

    assert "There is no shared service: the docker command, which runs it, is missing." in said


async def _said(up: Process) -> str:
    """What it prints until it is up."""
    assert up.stdout is not None
    said = ""
    with anyio.fail_after(60):
        async for text in TextReceiveStream(up.stdout):
            said += text
            if "Open http" in said:
                return said
    raise AssertionError(f"It ended before it was up: {said}")


def test_compose_denies_it_the_same() -> None:
    assert f"OPENCODE_PERMISSION: '{PERMISSION}'" in (PROJECT / "docker-compose.yml").read_text()
