"""`scripts/with-engine` where there is no engine, and where there is one."""

import subprocess
import sys
from pathlib import Path

import pytest

_WITH_ENGINE = Path(__file__).resolve().parents[1] / "scripts" / "with-engine"


def _run(programs: Path, script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """On a machine that has these programs and no package manager."""
    return subprocess.run(
        [sys.executable, _WITH_ENGINE, "/bin/sh", "-c", script],
        env={"PATH": str(programs), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def answering(tmp_path: Path) -> Path:
    """A `docker` command that says that an engine answers."""
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\necho 20.10\n")
    docker.chmod(0o755)
    return tmp_path


def test_without_an_engine_the_command_runs_and_learns_why(tmp_path: Path) -> None:
    done = _run(tmp_path, 'echo "reason: $OPENCODE_GATEWAY_NO_ENGINE"')

    assert done.returncode == 0
    assert done.stdout.startswith("reason: none answers")
    assert "No Docker Engine" in done.stderr


def test_without_an_engine_nothing_runs_where_one_is_required(tmp_path: Path) -> None:
    done = _run(tmp_path, "echo ran", REQUIRE_DOCKER="1")

    assert done.returncode == 1
    assert done.stdout == ""


def test_an_engine_that_answers_is_used(answering: Path) -> None:
    done = _run(answering, 'echo "$DOCKER_HOST"', DOCKER_HOST="unix:///some.sock")

    assert done.stdout == "unix:///some.sock\n"
    assert done.stderr == ""


def test_the_commands_exit_code_is_passed_on(answering: Path) -> None:
    done = _run(answering, "exit 7", DOCKER_HOST="unix:///some.sock")

    assert done.returncode == 7
