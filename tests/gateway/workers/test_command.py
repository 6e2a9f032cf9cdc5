"""`opencode-gateway gateway --workers N` as an operator types it."""

import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gateway.cli.serving import bind_each
from tests.support.deployment import CLEAN_ENVIRONMENT, PROGRAM


@pytest.fixture
def taken_port() -> Iterator[str]:
    """Offered to be shared, as another gateway of several workers does."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken:
        yield str(taken.getsockname()[1])


def types(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ: Mapping[str, str] = {**CLEAN_ENVIRONMENT, "STATE": str(folder / "state"), **more}
    return subprocess.run(
        [PROGRAM, "gateway", *arguments],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("number", ["0", "many", "65", "-1"])
def test_a_number_that_can_not_be_is_told(tmp_path: Path, number: str) -> None:
    done = types(tmp_path, f"--workers={number}")

    assert done.returncode == 1
    assert done.stderr == f"WORKERS must be a whole number from 1 to 64, not {number!r}.\n"


def test_a_port_is_not_shared_with_another_program(tmp_path: Path, taken_port: str) -> None:
    done = types(tmp_path, "--workers", "2", PORT=taken_port)

    assert done.returncode == 1
    assert done.stderr.startswith(f"Port {taken_port} of 127.0.0.1 can't be used: ")
    assert "choose another with PORT=" in done.stderr


def test_the_option_counts_more_than_the_environment(tmp_path: Path) -> None:
    done = types(tmp_path, "--workers", "99", WORKERS="2")

    assert "not '99'" in done.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_slots_share_one_port_of_which_the_first_listens(host: str) -> None:
    listeners = bind_each(host, 0, "PORT", 3)
    ports = {listener.getsockname()[1] for listener in listeners}
    listening = [
        listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for listener in listeners
    ]
    for listener in listeners:
        listener.close()

    assert len(ports) == 1
    assert listening == [1, 0, 0]


@pytest.mark.parametrize(
    ("number", "mark", "words"),
    [
        ("1", "ok", "1 of "),
        ("64", "--", "more workers than cores serve nobody faster"),
        ("65", "!!", "WORKERS must be a whole number from 1 to 64"),
    ],
)
def test_doctor_looks_at_the_number(tmp_path: Path, number: str, mark: str, words: str) -> None:
    environ = {**CLEAN_ENVIRONMENT, "STATE": str(tmp_path), "WORKERS": number}
    done = subprocess.run(
        [PROGRAM, "doctor"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )

    (line,) = [line for line in done.stdout.splitlines() if " workers " in line]
    assert line.startswith(mark)
    assert words in line
