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


async def _run(
    up: Deployment, *arguments: str, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
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
    return await anyio.to_thread.run_sync(run)


async def _typed(up: Deployment, *arguments: str, stdin: str = "") -> str:
    done = await _run(up, *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout


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


async def test_a_token_of_several_lines_is_refused_not_cut(up: Deployment) -> None:
    await up.person("alice")
    add = ("agent", "add", "work", "--provider", "anthropic", "--user", "alice")

    refused = await _run(up, *add, stdin="sk-ant-0123\n456789\n")

    assert refused.returncode == 1
    assert "token must be one line" in refused.stderr
    assert "sk-ant" not in refused.stderr


async def test_a_session_is_started_listed_and_removed_by_command(up: Deployment) -> None:
    alice = await up.person("alice")
    async with scripted_model("process") as model:
        await alice.agent(model.wish)
    session_id = (await alice.session(title="by hand"))["id"]

    started = await _typed(up, "session", "start", session_id, "--user", "alice")
    listed = await _typed(up, "session", "list", "--user", "alice")
    stopped = await _typed(up, "session", "stop", session_id, "--user", "alice")
    removed = await _typed(up, "session", "remove", session_id, "--user", "alice")

    assert started.startswith(f"Session {session_id} is starting. ")
    assert stopped.startswith(f"Session {session_id} is stop")
    assert removed == f"Session {session_id} was removed, with its container and files.\n"
    assert listed.split("\t")[0] == session_id
    assert listed.split("\t")[2] == "by hand"
    assert (await alice.http.get(f"/api/sessions/{session_id}")).status_code == 404


async def test_doctor_finds_a_running_deployment_well(up: Deployment) -> None:
    told = await _typed(up, "doctor")

    assert f"ok  port         {up.environ['PORT']} of 127.0.0.1 is served by a gateway" in told


@pytest.mark.parametrize("listed", ["agent", "session"])
async def test_an_empty_list_says_so(up: Deployment, listed: str) -> None:
    done = await _run(up, listed, "list")

    assert (done.stdout, done.stderr) == ("", f"No {listed}s.\n")


async def test_an_agent_is_removed_by_name_or_by_id(up: Deployment) -> None:
    alice = await up.person("alice")
    wish = {"provider": "anthropic", "token": "sk-ant-0123456789"}
    await alice.agent({**wish, "name": "work"})
    first = (await alice.agent({**wish, "name": "home"}))["id"]
    await alice.agent({**wish, "name": "home"})
    remove = ("agent", "remove", "--user", "alice")

    by_name = await _typed(up, *remove, "work")
    unclear = await _run(up, *remove, "home")
    by_id = await _typed(up, *remove, first)
    unknown = await _run(up, *remove, "work")

    assert (by_name, by_id) == ("Agent work was removed.\n", "Agent home was removed.\n")
    assert unclear.stderr == "2 agents are named 'home': give the id of one.\n"
    assert unknown.stderr == "No agent of this user has the name or id 'work'.\n"
    left = (await alice.http.get("/api/agents")).json()["agents"]
    assert [agent["name"] for agent in left] == ["home"]
