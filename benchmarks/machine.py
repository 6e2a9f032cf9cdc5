"""What the figures were measured on and with: figures of two machines do not compare."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import interpreter, yardsticks
from benchmarks.rounds import Results

_TOP = Path(__file__).resolve().parents[1]


def described() -> Results:
    programs = {name: yardsticks.version(name) for name in yardsticks.present()}
    return {
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count() or 1,
            "kernel": platform.release().partition("-")[0],
            "python": interpreter.chosen().described,
            **programs,
        },
        "run": {"date": datetime.now(tz=UTC).date().isoformat(), "commit": _commit()},
    }


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    return found[1] if found else platform.machine()


def _commit() -> str:
    """The commit that was measured; one that was changed since is marked."""
    asked = ["git", "-C", str(_TOP), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
