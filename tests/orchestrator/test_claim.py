"""Two orchestrators of one state folder: the second says so and ends before it does anything."""

import subprocess
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest

from tests.orchestrator.serving import PROGRAM, answers, call, running
from tests.support.services import free_port
from tests.support.waiting import until


@pytest.fixture
async def first(tmp_path: Path) -> AsyncIterator[dict[str, str]]:
    """The settings of an orchestrator that runs."""
    port = free_port()
    environ = {"STATE": str(tmp_path / "state"), "ENGINE": "process", "OPENCODE_BIN": "/bin/true"}
    async with running(environ, port), call(f"http://127.0.0.1:{port}", "any") as caller:
        await until(partial(answers, caller), "the orchestrator answering")
        yield environ


@pytest.mark.parametrize("verb", ["orchestrator", "up"])
async def test_a_second_one_is_refused_in_a_sentence(first: dict[str, str], verb: str) -> None:
    ended = await anyio.to_thread.run_sync(_run, verb, first)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        f"Another orchestrator is running on {first['STATE']}: stop it, or choose another STATE=."
    )
    assert "Traceback" not in ended.stderr


async def test_the_databases_may_be_migrated_meanwhile(first: dict[str, str]) -> None:
    assert (await anyio.to_thread.run_sync(_run, "migrate", first)).returncode == 0


def _run(verb: str, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    ports = {"PORT": str(free_port()), "ORCHESTRATOR_PORT": str(free_port())}
    return subprocess.run(
        [PROGRAM, verb],
        env={**environ, **ports},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
