"""The real Docker Engine for tests: whether there is one, and its command line for second opinions.

Tests look at containers through the command line and not through our engine, which is what they
test. Everything made here carries a name of its own and is removed at the end.
"""

import json
import os
import shutil
import subprocess
from typing import Any

from orchestrator.containers import name_of
from orchestrator.settings import DEFAULT_IMAGE
from tests.support.absent import absent

_ENVIRON = os.environ  # noqa: TID251 - tests choose their engine by DOCKER_HOST
ENVIRONMENT = {name: value for name, value in _ENVIRON.items() if name.startswith("DOCKER_")}
# Prints what it finds, so that a test can ask for it; ends or stays as its environment says.
PROGRAM = """
echo "started with $GREETING"
test -e marker && echo "seen before"
touch marker && echo "workspace writable"
cat "$HOME/.gitignore"
test -z "$END_WITH" || exit "$END_WITH"
test -z "$EAT_MEMORY" || exec tail /dev/zero
test -z "$EAT_IN_CHILD" || sh -c 'tail /dev/zero'
test -z "$HOLD_MEMORY" || exec perl -e '$held = "x" x 60_000_000; sleep 600'
test -z "$READ_FILES" || { head -c 60000000 /dev/zero > file; cat file > /dev/null; echo "read"; }
test -z "$WITH_JOB" || bash -c 'set -m
  while sleep 0.02; do echo "tick $((++ticks))"; done & wait
' &
test -z "$ECHO" || exec perl -MIO::Socket::INET -e '
  $door = IO::Socket::INET->new(LocalPort => shift, Listen => 5, ReuseAddr => 1);
  while ($guest = $door->accept) { while (<$guest>) { print $guest $_; $guest->flush } }
' "${5:-4096}"
exec sleep 600
"""


def docker(*arguments: str, given: str | None = None) -> str:
    """Run one command of Docker's own command line, and return what it prints."""
    done = subprocess.run(
        ["docker", *arguments], input=given, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, f"docker {arguments[0]}: {done.stderr}"
    return done.stdout.strip()


def inspected(key: str) -> dict[str, Any]:
    """All that Docker shows of a container."""
    shown: list[dict[str, Any]] = json.loads(docker("inspect", name_of(key)))
    return shown[0]


def need_docker(image: str = DEFAULT_IMAGE) -> None:
    """Skip the test without an engine and its image."""
    reason = _missing(image)
    if reason is not None:
        absent(f"No Docker Engine with {image}: {reason}")


def _missing(image: str) -> str | None:
    if shutil.which("docker") is None:
        return "there is no docker command"
    command = ["docker", "image", "inspect", image]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return "the Docker Engine does not answer in time"
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def build(tag: str, dockerfile: str) -> None:
    docker("build", "-q", "-t", tag, "-", given=dockerfile)
