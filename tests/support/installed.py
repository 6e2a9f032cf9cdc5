"""Programs that some tests drive, the machine's or npm's; where one is missing, they say so."""

import shutil
from pathlib import Path

from gateway.cli.environment import environment
from tests.support.absent import absent


def installed(*names: str) -> str:
    """Return the first of these programs of the machine that is found."""
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        absent(f"{names[0]} is not installed: `make test` installs it for root on Debian.")
    return found


def installed_opencode() -> Path:
    """OPENCODE_BIN, else the program that npm installed beside us."""
    program = environment().get("OPENCODE_BIN")
    if program is None:
        absent("OpenCode is not installed: run `npm ci`.")
    return Path(program)
