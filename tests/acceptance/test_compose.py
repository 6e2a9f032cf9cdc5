"""`docker-compose up` for real, used from outside as a person would use it."""

import json
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httpx
import pytest

from gateway.cli.environment import PROJECT, environment
from gateway.settings import DEFAULT_IMAGE
from tests.support.absent import absent
from tests.support.desk import route
from tests.support.engine import docker, docker_host
from tests.support.scripted_model import scripted_model
from tests.support.waiting import until

_PROJECT_NAME = "opencode-gateway-test"
_OURS = ("--filter", f"label=com.docker.compose.project={_PROJECT_NAME}")
_ENVIRON = environment()
# An operator's choices, none of them the default.
_BOTH = {
    "AGENT_IMAGES": f"{DEFAULT_IMAGE},another:1",
    "START_TIMEOUT_S": "70",
    "LOG_LEVEL": "DEBUG",
}
_LIMITS = {"MEMORY_BYTES": str(1 << 30), "CPUS": "1.5", "PIDS": "300"}
_PRINTED = re.compile(r"Open (http\S+)")

Compose = Callable[..., str]


@pytest.fixture(scope="module")
def compose() -> Iterator[Compose]:
    """The deployment of docker-compose.yml; gone with its volumes afterwards."""
    address = docker_host() or "unix:///var/run/docker.sock"
    if not address.startswith("unix://"):
        absent(f"The engine is not on this machine: {address}")
    program = _program()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environ = {
        **_ENVIRON,
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "DOCKER_SOCKET": address.removeprefix("unix://"),
        **_BOTH,
        **_LIMITS,
    }
    run = partial(_run, environ, program)
    _clear_away()  # what a run that was killed has left
    try:
        # Built here where they are not yet; `make test` has built both.
        run("up", "--detach")
        yield run
    finally:
        _clear_away()


def _clear_away() -> None:
    """Unlike `down`, without a complaint of others' containers on opencode-network."""
    for container in docker("ps", "-aq", *_OURS).split():
        docker("rm", "-f", container)
    for volume in docker("volume", "ls", "-q", *_OURS).split():
        docker("volume", "rm", volume)
    for network in docker("network", "ls", "-q", *_OURS).split():
        docker("network", "rm", network, check=False)


def _program() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if not docker("compose", "version", check=False):
        absent("docker-compose is not installed: `make test` installs it for root on Debian.")
    return ["docker", "compose"]


def _run(environ: dict[str, str], program: list[str], *arguments: str) -> str:
    done = subprocess.run(
        [*program, "--project-name", _PROJECT_NAME, *arguments],
        cwd=PROJECT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.timeout(600)
async def test_a_person_chats_through_the_compose_deployment(compose: Compose) -> None:
    link = await _printed_link(compose)
    async with scripted_model("docker") as model, _browser(link) as browser:
        await until(partial(_answers, browser), "the gateway answering")
        assert (await browser.get(link)).status_code == 303
        assert (await browser.get("/gateway/me")).json()["user"]["role"] == "administrator"
        assert (await browser.post("/api/agents", json=model.wish)).status_code == 201
        session = (await browser.post("/api/sessions", json={})).json()
        try:
            told = await browser.post(
                f"/api/sessions/{session['id']}/chat", json={"prompt": "run: echo $((6*7))"}
            )

            assert told.status_code == 200, told.text
            assert told.json()["route"] == "session"
            assert "42" in told.json()["message"]["text"]
            _stands_as_designed(session["container"])
        finally:  # nobody else clears away a container that the orchestrator made
            deleted = await browser.delete(f"/api/sessions/{session['id']}")
        assert deleted.status_code == 204
        _is_gone(session["container"])


async def _printed_link(compose: Compose) -> str:
    """What the gateway's log offers to whoever started the deployment."""
    found: list[str] = []

    async def is_printed() -> bool:
        found[:] = _PRINTED.findall(compose("logs", "--no-color", "gateway"))
        return bool(found)

    await until(is_printed, "the administrator's link in the gateway's log")
    assert len(found) == 1
    return found[0]


def _browser(link: str) -> httpx.AsyncClient:  # noqa: TID251
    return httpx.AsyncClient(base_url=link.partition("/gateway/")[0], timeout=120)  # noqa: TID251


async def _answers(browser: httpx.AsyncClient) -> bool:  # noqa: TID251
    try:
        return (await browser.get("/gateway/health")).status_code == 200
    except httpx.TransportError:
        return False


def _stands_as_designed(container: str) -> None:
    limits = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}"
    assert docker("inspect", "--format", limits, container) == "1073741824 1500000000 300"
    ports = docker("inspect", "--format", "{{json .NetworkSettings.Ports}}", container)
    networks = docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)
    assert json.loads(ports) == {"4096/tcp": None}
    assert list(json.loads(networks)) == ["opencode-network"]


def _is_gone(container: str) -> None:
    assert container not in docker("ps", "-a", "--format", "{{.Names}}").split()
    assert container not in docker("volume", "ls", "--format", "{{.Name}}").split()


async def test_a_link_made_by_hand_lets_in_as_well(compose: Compose) -> None:
    link = compose("exec", "-T", "gateway", "opencode-gateway", "user", "link").strip()

    async with _browser(link) as browser:
        assert (await browser.get(link)).status_code == 303


async def test_every_service_is_healthy(compose: Compose) -> None:
    async def are_healthy() -> bool:
        services = _services()
        return {
            name: services[name]["State"]["Health"]["Status"]
            for name in ("gateway", "orchestrator", "shared")
        } == dict.fromkeys(("gateway", "orchestrator", "shared"), "healthy")

    await until(are_healthy, "gateway, orchestrator and shared service healthy", within_s=60)


async def test_the_shared_service_answers_through_the_gateway(compose: Compose) -> None:
    async with _browser(await _printed_link(compose)) as browser:
        answer = await browser.get("/site.webmanifest")

    assert (answer.status_code, route(answer)) == (200, "shared; reason=public")
    assert answer.json()["name"] == "OpenCode"


def test_the_services_take_an_operators_settings(compose: Compose) -> None:
    services = _services()

    assert _BOTH.items() <= _environ(services["gateway"]).items()
    assert {**_BOTH, **_LIMITS}.items() <= _environ(services["orchestrator"]).items()


def test_the_shared_service_has_limits(compose: Compose) -> None:
    made_with = _services()["shared"]["HostConfig"]

    assert made_with["Memory"] == made_with["MemorySwap"] == 2 << 30
    assert made_with["PidsLimit"] == 512


def test_only_the_orchestrator_holds_the_engines_socket(compose: Compose) -> None:
    holders = [name for name, made in _services().items() if "docker.sock" in str(made["Mounts"])]

    assert holders == ["orchestrator"]


def test_no_secret_is_in_what_the_engine_shows(compose: Compose) -> None:
    """Secrets are files: whoever may inspect containers must not read them."""
    secret = compose("exec", "-T", "gateway", "cat", "/secrets/service/secret").strip()
    password = compose("exec", "-T", "gateway", "cat", "/secrets/shared/password").strip()

    shown = str(_services())

    assert secret not in shown
    assert password not in shown


def test_the_shared_service_cannot_read_the_service_secret(compose: Compose) -> None:
    listed = compose("exec", "-T", "shared", "sh", "-c", "ls /secrets; ls /state 2>/dev/null; true")

    assert listed.split() == ["password"]


def _services() -> dict[str, Any]:
    """What the engine shows of each service's container."""
    ours = docker("ps", "-aq", *_OURS)
    label = "com.docker.compose.service"
    return {
        each["Config"]["Labels"][label]: each
        for each in json.loads(docker("inspect", *ours.split()))
    }


def _environ(service: dict[str, Any]) -> dict[str, str]:
    return dict(line.split("=", 1) for line in service["Config"]["Env"])
