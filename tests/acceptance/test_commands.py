"""The commands that ask the running gateway, in the name of one of its users."""

import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest

from tests.support.deployment import PROGRAM, Deployment, deployed
from tests.support.scripted_model import Model, scripted_model
from tests.support.waiting import until


@pytest.fixture
async def up(tmp_path: Path, opencode_binary: Path) -> AsyncIterator[Deployment]:
    async with deployed(tmp_path / "state", "process") as running:
        yield running


async def _typed(up: Deployment, *arguments: str, stdin: str = "") -> str:
    run = partial(
        subprocess.run,
        [PROGRAM, *arguments],
        input=stdin,
        env=up.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    done = await anyio.to_thread.run_sync(run)
    assert done.returncode == 0, done.stderr
    printed: str = done.stdout
    return printed


def _wish(model: Model) -> list[str]:
    wish = model.wish
    return [wish["name"], "--provider", wish["provider"], "--model", wish["model"]]


async def test_an_agent_added_by_command_is_known_to_the_gateway_at_once(up: Deployment) -> None:
    alice = await up.person("alice")
    async with scripted_model("process") as model:
        token = model.wish["token"]
        add = ("agent", "add", *_wish(model), "--base-url", model.base_url, "--user", "alice")

        added = await _typed(up, *add, stdin=token)

    listed = await _typed(up, "agent", "list", "--user", "alice")
    known = (await alice.http.get("/api/agents")).json()["agents"]
    assert [agent["id"] for agent in known] == [added.strip()]
    assert listed.startswith(added.strip())
    assert token not in listed + up.lines()


async def test_a_password_set_by_command_ends_what_the_old_one_let_in(up: Deployment) -> None:
    alice = await up.person("alice")

    await _typed(up, "user", "password", "alice", stdin="correct horse battery\n")

    async def kept_out() -> bool:
        return (await alice.http.get("/gateway/me")).status_code == 401

    await until(kept_out, "the login ended")


async def test_a_session_is_started_listed_and_removed_by_command(up: Deployment) -> None:
    alice = await up.person("alice")
    async with scripted_model("process") as model:
        await alice.agent(model.wish)
    session_id = (await alice.session(title="by hand"))["id"]

    await _typed(up, "session", "start", session_id, "--user", "alice")
    listed = await _typed(up, "session", "list", "--user", "alice")
    await _typed(up, "session", "remove", session_id, "--user", "alice")

    assert listed.split("\t")[0] == session_id
    assert listed.split("\t")[2] == "by hand"
    assert (await alice.http.get(f"/api/sessions/{session_id}")).status_code == 404
