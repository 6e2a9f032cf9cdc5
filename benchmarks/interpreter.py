"""Which Python runs the gateway that is measured: Debian's, which the project's images have.

It is compiled with profile-guided optimisation. One that a version manager compiled without it
needs a seventh more time for the same work. Where Debian's is not there, or is of another version
than the packages were installed for, the gateway runs on what runs us.
"""

import os
import platform
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_DEBIANS = "/usr/bin/python3"
_TOP = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`environ` lets it find what is installed for us."""

    path: str
    described: str
    environ: dict[str, str]


@cache
def chosen() -> Interpreter:
    theirs, ours = _version(_DEBIANS), platform.python_version()
    if theirs.rpartition(".")[0] != ours.rpartition(".")[0]:
        return Interpreter(sys.executable, ours, {})
    packages = sysconfig.get_path("purelib")
    return Interpreter(
        _DEBIANS, f"{theirs} of Debian", {"PYTHONPATH": f"{_TOP}{os.pathsep}{packages}"}
    )


def _version(path: str) -> str:
    if not os.access(path, os.X_OK) or not Path("/etc/debian_version").exists():
        return ""
    asked = [path, "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
