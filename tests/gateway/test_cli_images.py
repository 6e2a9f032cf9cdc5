"""The agent image of a clone, with a docker command that writes down what it is given."""

from pathlib import Path

import pytest

from gateway.cli import images
from gateway.cli.environment import CommandError

_SECRETS = {
    "SERVICE_SECRET": "canary-1",
    "SHARED_PASSWORD": "canary-2",
    "DATABASE_URL": "postgresql://gateway:canary-3@db/gateway",
    "ANTHROPIC_API_KEY": "canary-4",
}
_NEEDED = {
    "DOCKER_HOST": "tcp://192.0.2.1:2376",
    "DOCKER_TLS_VERIFY": "1",
    "DOCKER_CERT_PATH": "/certificates",
    "HTTPS_PROXY": "http://proxy.example:3128",
    "no_proxy": "localhost",
    "HOME": "/home/alice",
}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """Where the environments of the docker command, which has no image, and of the script go."""
    written = tmp_path / "written"
    script = f"#!/bin/sh\n/usr/bin/env >> {written}\nexit 1\n"
    for name in ("docker", "scripts/step"):
        program = tmp_path / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(script)
        program.chmod(0o755)
    return written


def test_the_build_sees_which_engine_is_meant_and_no_secret(
    tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "PROJECT", tmp_path)
    environ = {"PATH": str(tmp_path), **_SECRETS, **_NEEDED}

    with pytest.raises(CommandError, match="could not be built"):
        images.ensure_agent_image(environ)

    lines = written.read_text().splitlines()
    assert not [line for line in lines if "canary" in line]
    for name, value in _NEEDED.items():
        assert lines.count(f"{name}={value}") == 2  # of the command, and of the script


def test_a_docker_command_that_cannot_be_run_is_told(tmp_path: Path, written: Path) -> None:
    (tmp_path / "docker").chmod(0o644)

    with pytest.raises(CommandError, match="docker command"):
        images.has_agent_image({"PATH": str(tmp_path)})
