"""A session's container: one start for all who ask, back after a death, gone when deleted."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.support.deployment import Deployment
from tests.support.desk import OWN, Desk, route, seated
from tests.support.engine import docker
from tests.support.scripted_model import Model
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode]


async def test_fifty_first_requests_at_once_make_one_container(
    deployment: Deployment, model: Model
) -> None:
    # Of limits that no spare has: a claim would make none at all.
    desk = await seated(deployment, model, "dave", limits={"pids": 256})
    answers: list[httpx.Response] = []
    browser = httpx.AsyncClient(  # noqa: TID251 - fifty connections at once
        base_url=desk.base_url,
        headers={"Authorization": f"Bearer {desk.access_token}"},
        limits=httpx.Limits(max_connections=50),
        timeout=60,
    )

    async def ask() -> None:
        answers.append(await browser.get("/session"))

    began = docker("info", "--format", "{{.SystemTime}}")
    async with browser, anyio.create_task_group() as together:
        for _ in range(50):
            together.start_soon(ask)

    assert [(answer.status_code, route(answer)) for answer in answers] == [(200, OWN)] * 50
    assert _made_since(began, desk) == ["create", "start"]


def _made_since(began: str, desk: Desk) -> list[str]:
    """What the engine itself says it did for the session's container."""
    now = docker("info", "--format", "{{.SystemTime}}")
    filters = ["type=container", f"container={desk.container}", "event=create", "event=start"]
    options = [word for each in filters for word in ("--filter", each)]
    told = docker("events", "--since", began, "--until", now, *options, "--format", "{{.Action}}")
    return told.split()


async def test_a_container_killed_by_hand_is_back_with_its_conversations(
    deployment: Deployment, bob: Desk
) -> None:
    conversation_id = await bob.conversation("before the end")
    docker("kill", bob.container)

    found = await bob.own("GET", f"/session/{conversation_id}")

    assert found["title"] == "before the end"


async def test_a_prompt_that_a_dying_container_has_is_sent_to_nobody_else(
    deployment: Deployment, model: Model, bob: Desk
) -> None:
    conversation_id = await bob.conversation("cut off")
    prompt = "stream for 30 seconds, until cut off"
    parts = {"parts": [{"type": "text", "text": prompt}]}

    async with anyio.create_task_group() as beside:
        beside.start_soon(_kill_once_asked, model, bob, prompt)
        answer = await bob.http.post(f"/session/{conversation_id}/message", json=parts)

    assert answer.status_code == 502
    assert answer.json()["data"]["code"] == "upstream_failed"
    assert route(answer) == OWN
    assert model.script.prompts.count(prompt) == 1
    kept = await bob.own("GET", f"/session/{conversation_id}/message")
    assert [each["info"]["role"] for each in kept].count("user") == 1


async def _kill_once_asked(model: Model, desk: Desk, prompt: str) -> None:
    async def asked() -> bool:
        return prompt in model.script.prompts

    await until(asked, "the model being asked")
    docker("kill", desk.container)


async def test_deleting_a_session_leaves_nothing_behind(
    deployment: Deployment, model: Model
) -> None:
    desk = await seated(deployment, model, "erin")
    await desk.own("GET", "/session")
    state = Path(deployment.environ["STATE"])
    assert _rows(state, desk.session_id)

    deleted = await desk.http.delete(f"/api/sessions/{desk.session_id}")

    assert deleted.status_code == 204
    name = f"name={desk.container}"
    assert docker("ps", "--all", "--quiet", "--filter", name) == ""
    assert docker("volume", "ls", "--quiet", "--filter", name) == ""
    assert _rows(state, desk.session_id) == []


def _rows(state: Path, session_id: str) -> list[tuple[Any, ...]]:
    """Every row of either database with the session's id in it."""
    found = []
    for file in ("gateway.db", "orchestrator.db"):
        with closing(sqlite3.connect(f"file:{state / file}?mode=ro", uri=True)) as database:
            names = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            for (table,) in names.fetchall():
                rows = database.execute(f'SELECT * FROM "{table}"').fetchall()
                found += [row for row in rows if session_id in row]
    return found
