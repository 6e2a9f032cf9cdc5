"""`opencode-gateway up` as a person runs it, with either engine."""

import signal
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.support.deployment import Deployment, Person, deployed
from tests.support.engine import docker
from tests.support.scripted_model import scripted_model


async def _answer(person: Person, session_id: str, prompt: str) -> str:
    told = await person.http.post(f"/api/sessions/{session_id}/chat", json={"prompt": prompt})
    assert told.status_code == 200, told.text
    assert told.json()["route"] == "session"
    text: str = told.json()["message"]["text"]
    return text


async def test_a_person_chats_with_their_own_opencode_right_after_up(
    each_engine: str, tmp_path: Path, opencode_binary: Path
) -> None:
    async with (
        scripted_model(each_engine) as model,
        deployed(tmp_path / "state", each_engine) as running,
    ):
        person = await running.person("alice")
        await person.agent(model.wish)
        session = await person.session()

        text = await _answer(person, session["id"], "run: echo $((6*7))")

        assert "42" in text


async def test_the_printed_link_lets_the_administrator_in_once(
    tmp_path: Path, opencode_binary: Path
) -> None:
    async with deployed(tmp_path / "state", "process") as running:
        async with httpx.AsyncClient() as browser:  # noqa: TID251
            entered = await browser.get(running.link)
            me = await browser.get(f"{running.base_url}/gateway/me")
        async with httpx.AsyncClient() as another:  # noqa: TID251
            refused = await another.get(running.link)
            nobody = await another.get(f"{running.base_url}/gateway/me")

    assert (entered.status_code, entered.headers["Location"]) == (303, "/gateway/")
    assert me.json()["user"]["role"] == "administrator"
    assert (refused.status_code, nobody.status_code) == (401, 401)


async def test_a_signal_stops_everything_that_up_started_and_keeps_the_files(
    each_engine: str, tmp_path: Path, opencode_binary: Path
) -> None:
    state = tmp_path / "state"
    async with scripted_model(each_engine) as model, deployed(state, each_engine) as running:
        session_id = await _leave_a_file(running, model.wish)

        running.process.send_signal(signal.SIGINT)
        with anyio.fail_after(60):
            code = await running.process.wait()

        assert code == 0
        assert "Traceback" not in running.lines()
        if each_engine == "docker":
            assert not await anyio.to_thread.run_sync(_runs, session_id)
        assert not await anyio.to_thread.run_sync(_processes_of, state)


@pytest.mark.usefixtures("terminal")
async def test_a_closed_terminal_stops_everything_as_ctrl_c_does(
    tmp_path: Path, opencode_binary: Path
) -> None:
    state = tmp_path / "state"
    async with deployed(state, "process") as running:
        running.process.send_signal(signal.SIGHUP)
        with anyio.fail_after(60):
            code = await running.process.wait()

        assert code == 0
        assert not await anyio.to_thread.run_sync(_processes_of, state)


async def _leave_a_file(running: Deployment, wish: dict[str, str]) -> str:
    person = await running.person("alice")
    await person.agent(wish)
    session = await person.session()
    await _answer(person, session["id"], "run: echo kept > kept.txt")
    return str(session["id"])


def _runs(session_id: str) -> bool:
    name = f"name=agent_{session_id}"
    return bool(docker("ps", "-q", "--filter", name))


def _processes_of(state: Path) -> list[str]:
    """Every process with the folder in its environment or arguments."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()
        except OSError:
            continue
        if str(state).encode() in text:
            found.append((process / "cmdline").read_text().replace("\0", " "))
    return found
