"""Where the real OpenCode is, and how to end one from outside."""

import json
import os
import signal
import subprocess
from pathlib import Path

from tests.support.absent import absent

_ENVIRON = os.environ  # noqa: TID251 - tests choose their OpenCode by OPENCODE_BIN
_INSTALLED = Path(__file__).parents[2] / "node_modules"


def program() -> str | None:
    """OPENCODE_BIN, else what the project's own package.json installed for this machine."""
    if "OPENCODE_BIN" in _ENVIRON:
        return _ENVIRON["OPENCODE_BIN"]
    found = sorted(_INSTALLED.glob("opencode-*/bin/opencode"))
    return str(found[0]) if found else None


def environment() -> dict[str, str]:
    """What an operator's environment would say of it."""
    found = program()
    named = {} if found is None else {"OPENCODE_BIN": found}
    return {"PATH": _ENVIRON["PATH"], **named}


def need_opencode() -> None:
    if program() is None:
        absent("OpenCode is not installed: run `npm ci`.")


def kill(state: Path, session_id: str) -> None:
    """Kill a session's process as a person at the keyboard would."""
    note = json.loads((state / "processes" / f"{session_id}.json").read_text())
    os.kill(note["process"]["pid"], signal.SIGKILL)


def command_lines() -> str:
    """Every process's arguments, which any user of the machine may read."""
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
