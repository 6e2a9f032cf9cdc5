"""The Docker Engine of a test: whichever answers, or the reason why there is none.

`scripts/with-engine` finds or starts one before pytest does; this only asks whether it answers.
"""

import os
import subprocess
from functools import cache

from tests.support.absent import absent


def docker_host() -> str | None:
    """Return DOCKER_HOST, None being the default; skip the test where no engine answers."""
    reason = _why_not()
    if reason is not None:
        absent(f"No Docker Engine: {reason}")
    return os.environ.get("DOCKER_HOST")  # noqa: TID251 - tests choose their engine by it


@cache
def _why_not() -> str | None:
    if told := os.environ.get("OPENCODE_GATEWAY_NO_ENGINE"):  # noqa: TID251
        return told
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if asked.returncode == 0 else "none answers (`make test` starts one where it may)."


def docker(*arguments: str, check: bool = True) -> str:
    """Ask the engine as a person would; returns what was printed. Blocks."""
    asked = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert asked.returncode == 0 or not check, asked.stderr
    return asked.stdout.strip()
