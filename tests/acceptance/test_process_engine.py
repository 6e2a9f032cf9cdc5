"""A machine without a container engine: each session's OpenCode is a process of its own."""

import json
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
import httpx
import pytest

from tests.support.deployment import Deployment, deployed
from tests.support.desk import OWN, Desk, route, seated
from tests.support.scripted_model import scripted_model

pytestmark = pytest.mark.opencode


@pytest.fixture(scope="module")
async def deployment(
    opencode_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    async with deployed(tmp_path_factory.mktemp("processes") / "state", "process") as running:
        yield running


@pytest.fixture(scope="module")
async def alice(deployment: Deployment) -> AsyncIterator[Desk]:
    async with scripted_model("process") as model:
        yield await seated(deployment, model, "alice")


async def test_fifty_first_requests_at_once_make_one_process(
    deployment: Deployment, alice: Desk
) -> None:
    answers: list[httpx.Response] = []

    async def ask() -> None:
        answers.append(await alice.http.get("/session"))

    async with anyio.create_task_group() as together:
        for _ in range(50):
            together.start_soon(ask)

    assert [(answer.status_code, route(answer)) for answer in answers] == [(200, OWN)] * 50
    assert _servers(deployment, alice) == [_pid(deployment, alice)]


async def test_a_process_killed_by_hand_is_back_with_its_conversations(
    deployment: Deployment, alice: Desk
) -> None:
    conversation_id = await alice.conversation("before the end")
    await _kill(_pid(deployment, alice))

    found = await alice.own("GET", f"/session/{conversation_id}")

    assert found["title"] == "before the end"


async def test_no_client_hears_that_all_is_disposed_of_when_it_is_stopped(alice: Desk) -> None:
    """Upon that word an idle tab or TUI asks for everything anew, which started it again."""
    await alice.own("GET", "/session")
    heard: list[str] = []
    with suppress(httpx.RemoteProtocolError):  # it is cut off
        async with alice.http.stream("GET", "/global/event") as stream:
            async for line in stream.aiter_lines():
                heard.append(line)
                if "server.connected" in line:
                    await alice.http.post(f"/api/sessions/{alice.session_id}/stop")

    assert any("server.connected" in line for line in heard)
    assert not [line for line in heard if "disposed" in line]


async def test_a_deleted_session_leaves_no_process_and_no_file(
    deployment: Deployment, alice: Desk
) -> None:
    await alice.own("GET", "/session")

    deleted = await alice.http.delete(f"/api/sessions/{alice.session_id}")

    assert deleted.status_code == 204
    assert _servers(deployment, alice) == []
    left = [path for path in _state(deployment).rglob("*") if alice.session_id in path.name]
    assert left == []


async def _kill(pid: int) -> None:
    """Kill it and wait for its end: one that is still dying takes a last request with it."""
    process = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        with anyio.fail_after(10):
            await anyio.wait_readable(process)
    finally:
        os.close(process)


def _state(deployment: Deployment) -> Path:
    return Path(deployment.environ["STATE"])


def _pid(deployment: Deployment, desk: Desk) -> int:
    note = _state(deployment) / "processes" / f"{desk.session_id}.json"
    pid: int = json.loads(note.read_text())["process"]["pid"]
    return pid


def _servers(deployment: Deployment, desk: Desk) -> list[int]:
    """Every process of the machine that works in this session's folder."""
    folder = _state(deployment) / "volumes" / desk.session_id
    return [int(each.parent.name) for each in Path("/proc").glob("[0-9]*/cwd") if _is(each, folder)]


def _is(link: Path, folder: Path) -> bool:
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:  # the process has ended meanwhile
        return False
