"""A Docker Engine that takes connections and never answers: everything ends, and says why.

Its deadlines are long enough for a loaded machine; here they are shortened to what a test may take.
"""

import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from orchestrator.api import HEALTH
from orchestrator.app import create_app
from orchestrator.settings import load_settings
from tests.orchestrator.conftest import SESSION
from tests.orchestrator.fake_docker import fake_docker, silent_docker
from tests.orchestrator.serving import Caller, answers, call, running, serving
from tests.orchestrator.test_api import BODY, SECRET, SESSIONS
from tests.support.services import free_port
from tests.support.waiting import until


@pytest.fixture
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.engines.docker_line.PING_TIMEOUT_S", 0.3)


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Settings that name an engine which hangs."""
    with silent_docker(tmp_path) as address:
        yield settings(tmp_path, address)


def settings(folder: Path, address: str) -> dict[str, str]:
    return {
        "STATE": str(folder / "state"),
        "SERVICE_SECRET": SECRET,
        "AGENT_IMAGES": "one",
        "ENGINE": "docker",
        "DOCKER_HOST": address,
    }


@pytest.fixture
async def caller(quickly: None, hanging: dict[str, str]) -> AsyncIterator[Caller]:
    app = create_app(load_settings(hanging))
    async with serving(app) as address, call(address, SECRET) as caller:
        yield caller


def told(answer: httpx.Response) -> tuple[int, str, str]:
    data = answer.json()["data"]
    return answer.status_code, data["code"], data["message"].partition(" (")[0]


UNAVAILABLE = (503, "engine_unavailable", "The Docker Engine does not answer in time")


async def test_what_is_asked_of_it_is_answered_with_the_reason(caller: Caller) -> None:
    with anyio.fail_after(10):
        ensured = await caller.post(f"{SESSIONS}/agent", json=BODY)
        removed = await caller.delete(f"{SESSIONS}/{SESSION}")

    assert [told(answer) for answer in (ensured, removed)] == [UNAVAILABLE] * 2


async def test_health_says_what_is_wrong(caller: Caller) -> None:
    answer: dict[str, Any] = (await caller.get(HEALTH)).json()

    assert (answer["healthy"], answer["engine_answers"]) == (False, False)
    assert answer["why"].startswith("The Docker Engine does not answer in time (unix://")


async def test_what_was_left_half_done_does_not_keep_the_next_run_from_starting(
    quickly: None, hanging: dict[str, str]
) -> None:
    with anyio.fail_after(10):
        for _ in range(2):
            app = create_app(load_settings(hanging))
            async with serving(app) as address, call(address, SECRET) as caller:
                await caller.post(f"{SESSIONS}/agent", json=BODY)
                await caller.delete(f"{SESSIONS}/{SESSION}")
                listed = (await caller.get(SESSIONS)).json()["sessions"]

    assert [each["state"] for each in listed] == ["removing"]


async def test_the_program_ends_though_a_start_hangs_in_the_engine(tmp_path: Path) -> None:
    """Here the engine lives and only the work hangs, whose own deadline is 45 seconds."""
    port = free_port()
    async with (
        fake_docker(tmp_path, 500, "No.", silent_on="/networks") as engine,
        running(settings(tmp_path, engine), port) as program,
        call(f"http://127.0.0.1:{port}", SECRET) as caller,
        anyio.create_task_group() as group,
    ):
        await until(partial(answers, caller), "the orchestrator answering")
        group.start_soon(partial(caller.post, f"{SESSIONS}/agent", json=BODY))
        await until(partial(_is_creating, caller), "the start being under way")
        group.cancel_scope.cancel()

        program.send_signal(signal.SIGTERM)
        with anyio.fail_after(15, shield=True):
            assert await program.wait() == 0


async def _is_creating(caller: Caller) -> bool:
    listed = (await caller.get(SESSIONS)).json()["sessions"]
    return [each["phase"] for each in listed] == ["creating"]
