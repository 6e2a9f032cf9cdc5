"""What is said where a deployment lacks what it needs: one sentence, the right code, no mess."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.absent import absent
from tests.support.deployment import CLEAN_ENVIRONMENT, PROGRAM, Deployment, running
from tests.support.services import Services, free_port, services
from tests.support.waiting import until

_AGENT = {"name": "A", "provider": "anthropic", "token": "sk-not-used-1234"}


@pytest.mark.parametrize("verb", ["up", "gateway", "orchestrator"])
def test_a_missing_service_secret_is_told_by_its_path(verb: str, tmp_path: Path) -> None:
    missing = str(tmp_path / "no" / "secret")

    done = _started(verb, tmp_path / "state", SERVICE_SECRET_FILE=missing)

    assert done.returncode == 1
    assert done.stderr.startswith(f"SERVICE_SECRET_FILE can't be read: {missing}")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("verb", ["up", "gateway", "orchestrator"])
def test_a_full_disk_is_told_before_anything_is_served(verb: str, small_disk: Path) -> None:
    _fill(small_disk)

    done = _started(verb, small_disk / "state")

    assert done.returncode == 1
    assert done.stderr.startswith("STATE needs a folder this program may write")
    assert len(done.stderr.splitlines()) == 1
    assert [path for path in small_disk.rglob("state/**/*") if path.is_file()] == []


async def test_a_disk_that_fills_up_refuses_what_is_new_and_keeps_what_is_there(
    alone: Deployment, small_disk: Path
) -> None:
    alice = await alone.person("alice")
    await alice.agent(_AGENT)
    _fill(small_disk)

    refused = await alice.http.post("/api/agents", json={**_AGENT, "name": "x" * 60})
    kept = await alice.http.get("/api/agents")
    (small_disk / "filling").unlink()
    made = await alice.http.post("/api/agents", json={**_AGENT, "name": "B"})

    assert (refused.status_code, refused.json()["data"]["code"]) == (507, "storage_full")
    assert [each["name"] for each in kept.json()["agents"]] == ["A"]
    assert made.status_code == 201


async def test_an_engine_that_does_not_answer_is_told_to_who_asks(engineless: Services) -> None:
    people = engineless.deployment()
    alice = await people.person("alice")
    await alice.agent(_AGENT)
    session = await alice.session()

    answer = await alice.http.get("/session")
    told = (await alice.http.get(f"/api/sessions/{session['id']}")).json()
    await alice.http.aclose()

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "The Docker Engine does not answer" in answer.json()["data"]["why"]
    assert "The Docker Engine does not answer" in told["why"]


@pytest.fixture
async def engineless(tmp_path: Path) -> AsyncIterator[Services]:
    absent = f"unix://{tmp_path}/no.sock"
    async with services(tmp_path / "state", DOCKER_HOST=absent) as both:
        yield both


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        absent("Only root can mount a small disk.")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
async def alone(small_disk: Path, tmp_path: Path) -> AsyncIterator[Deployment]:
    """A gateway without an orchestrator, its database on the small disk."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environ = {**CLEAN_ENVIRONMENT, "STATE": str(small_disk / "state"), "PORT": str(port)}
    log = tmp_path / "log"
    async with running((str(PROGRAM), "gateway"), environ, log) as process:
        await until(lambda: _answers(url), "the gateway answering")
        people = Deployment(environ, url, "", log, process)
        yield people
        for person in people.people:
            await person.http.aclose()


async def _answers(url: str) -> bool:
    async with httpx.AsyncClient() as client:  # noqa: TID251
        try:
            return (await client.get(f"{url}/gateway/health")).status_code == 200
        except httpx.TransportError:
            return False


def _started(verb: str, state: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environ: dict[str, Any] = {
        **CLEAN_ENVIRONMENT,
        "STATE": str(state),
        "PORT": str(free_port()),
        "ORCHESTRATOR_PORT": str(free_port()),
        "ENGINE": "process",
        **settings,
    }
    return subprocess.run(
        [PROGRAM, verb], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def _fill(disk: Path) -> None:
    with (disk / "filling").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return
