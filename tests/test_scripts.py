"""The scripts that look after what the tests need, on machines of several kinds."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
_WITH_ENGINE = _SCRIPTS / "with-engine"


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
    _stub(tmp_path, "docker", "echo 20.10")
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


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("told", ["HUP", "TERM"])
def test_a_signal_is_passed_on_and_the_command_waited_for(answering: Path, told: str) -> None:
    sleeps = "/bin/sleep 30 >/dev/null 2>&1 &"
    script = f"{sleeps} trap 'kill $!; echo cleared; exit 3' {told}; kill -{told} $PPID; wait"
    done = _run(answering, script, DOCKER_HOST="unix:///some.sock")

    assert (done.returncode, done.stdout) == (3, "cleared\n")


def test_the_commands_exit_code_is_passed_on(answering: Path) -> None:
    done = _run(answering, "exit 7", DOCKER_HOST="unix:///some.sock")

    assert done.returncode == 7


@pytest.mark.parametrize("user", ["0", "1000"])
def test_what_the_tests_drive_is_installed_by_root_alone(user: str, tmp_path: Path) -> None:
    """On a Debian that has none of it, but perhaps PostgreSQL, which is looked for by its path."""
    installed = tmp_path / "installed"
    _stub(tmp_path, "id", f"echo {user}")
    _stub(tmp_path, "apt-get", f'test "$1" = update || echo "$@" > {installed}')
    for needed in ("env", "bash", "dirname", "find"):
        (tmp_path / needed).symlink_to(str(shutil.which(needed)))

    done = subprocess.run(
        [_SCRIPTS / "test-programs"], env={"PATH": str(tmp_path)}, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stderr
    told = installed.read_text() if user == "0" else done.stdout
    assert {"tmux", "chromium", "docker-compose"} <= set(told.replace(";", "").split())
    assert installed.exists() == (user == "0")


def _stub(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
