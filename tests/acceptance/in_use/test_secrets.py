"""A user's agent token, and the password of their container, are seen by nobody but OpenCode."""

import secrets
import subprocess
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

from tests.support.deployment import Deployment
from tests.support.desk import Desk
from tests.support.engine import docker
from tests.support.scripted_model import Model

pytestmark = [pytest.mark.docker, pytest.mark.opencode]


async def test_an_agents_token_is_seen_nowhere(deployment: Deployment, model: Model) -> None:
    """The model refuses this one, so that errors are looked through as well."""
    token = f"sk-canary-{secrets.token_hex(16)}"
    person = await deployment.person("grace")
    agent = await person.agent({**model.wish, "token": token})
    session = await person.session()
    desk = Desk(deployment.base_url, person, session["id"], session["access_token"])
    refused = await desk.http.post(
        f"/api/sessions/{desk.session_id}/chat", json={"prompt": "hello"}
    )

    assert f"Bearer {token}" in model.script.authorizations
    assert refused.json()["data"]["code"] == "model_failed"
    told = [str(agent), str(session), refused.text, *await _answers(desk, agent["id"])]
    assert [each for each in told if token in each] == []
    assert _places_of(token, deployment, desk) == []


async def test_a_containers_password_is_seen_nowhere(deployment: Deployment, alice: Desk) -> None:
    printed = await alice.chat("run: printenv OPENCODE_SERVER_PASSWORD")
    password = printed.removeprefix("It printed: ").strip()

    assert len(password) > 20
    assert [each for each in await _answers(alice) if password in each] == []
    assert _places_of(password, deployment, alice) == []


async def _answers(desk: Desk, agent_id: str = "") -> list[str]:
    """What the gateway's own API and pages tell this user."""
    paths = [
        "/api/agents",
        f"/api/agents/{agent_id}",
        "/api/sessions",
        f"/api/sessions/{desk.session_id}",
        "/gateway/",
        "/gateway/agents",
        "/gateway/me",
        "/gateway/metrics",
    ]
    return [(await desk.http.get(path)).text for path in paths]


def _places_of(secret: str, deployment: Deployment, desk: Desk) -> list[str]:
    """Where on this machine it can be read: logs, files, arguments, the engine's descriptions."""
    files = [path for path in Path(deployment.environ["STATE"]).rglob("*") if path.is_file()]
    seen = {str(path): path.read_bytes() for path in [*files, deployment.log]}
    seen |= {str(path): _read(path) for path in Path("/proc").glob("[0-9]*/cmdline")}
    seen["docker inspect"] = docker("inspect", desk.container).encode()
    seen["docker logs"] = _printed_by(desk)
    return [place for place, text in seen.items() if secret.encode() in text]


def _printed_by(desk: Desk) -> bytes:
    """Both what it printed and what it complained of."""
    command = ["docker", "logs", desk.container]
    done = subprocess.run(command, stdout=PIPE, stderr=STDOUT, timeout=20, check=True)
    return done.stdout


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # the process has ended meanwhile
        return b""
