"""`docker-compose up` for real, used from outside as a person would use it."""

import json
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from functools import partial

import httpx
import pytest

from gateway.cli.environment import PROJECT, environment
from tests.support.absent import absent
from tests.support.engine import docker, docker_host
from tests.support.scripted_model import scripted_model

_PROJECT_NAME = "opencode-gateway-test"
_ENVIRON = environment()

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
    }
    run = partial(_run, environ, program)
    try:
        # Built here where they are not yet; `make test` has built both.
        run("up", "--detach")
        yield run
    finally:
        run("down", "--volumes", "--timeout", "5")


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
    link = compose("exec", "-T", "gateway", "opencode-gateway", "user", "link").strip()
    base_url = link.partition("/gateway/")[0]
    async with (
        scripted_model("docker") as model,
        httpx.AsyncClient(base_url=base_url, timeout=120) as browser,  # noqa: TID251
    ):
        assert (await browser.get(link)).status_code == 303
        assert (await browser.post("/api/agents", json=model.wish)).status_code == 201
        session = (await browser.post("/api/sessions", json={})).json()

        told = await browser.post(
            f"/api/sessions/{session['id']}/chat", json={"prompt": "run: echo $((6*7))"}
        )

        assert told.status_code == 200, told.text
        assert told.json()["route"] == "session"
        assert "42" in told.json()["message"]["text"]
        _stands_as_designed(session["container"])
        assert (await browser.delete(f"/api/sessions/{session['id']}")).status_code == 204
        _is_gone(session["container"])


def _stands_as_designed(container: str) -> None:
    ports = docker("inspect", "--format", "{{json .NetworkSettings.Ports}}", container)
    networks = docker("inspect", "--format", "{{json .NetworkSettings.Networks}}", container)
    assert json.loads(ports) == {"4096/tcp": None}
    assert list(json.loads(networks)) == ["opencode-network"]


def _is_gone(container: str) -> None:
    assert container not in docker("ps", "-a", "--format", "{{.Names}}").split()
    assert container not in docker("volume", "ls", "--format", "{{.Name}}").split()


def test_only_the_orchestrator_holds_the_engines_socket(compose: Compose) -> None:
    holders = set()
    for container in docker(
        "ps", "-aq", "--filter", f"label=com.docker.compose.project={_PROJECT_NAME}"
    ).split():
        mounts = docker("inspect", "--format", "{{json .Mounts}}", container)
        if "docker.sock" in mounts:
            service = '{{index .Config.Labels "com.docker.compose.service"}}'
            holders.add(docker("inspect", "--format", service, container))

    assert holders == {"orchestrator"}


def test_no_secret_is_in_what_the_engine_shows(compose: Compose) -> None:
    """Secrets are files: whoever may inspect containers must not read them."""
    secret = compose("exec", "-T", "gateway", "cat", "/secrets/service/secret").strip()
    password = compose("exec", "-T", "gateway", "cat", "/secrets/shared/password").strip()
    ours = docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={_PROJECT_NAME}")

    shown = docker("inspect", *ours.split())

    assert secret not in shown
    assert password not in shown


def test_the_shared_service_cannot_read_the_service_secret(compose: Compose) -> None:
    listed = compose("exec", "-T", "shared", "sh", "-c", "ls /secrets; ls /state 2>/dev/null; true")

    assert listed.split() == ["password"]
