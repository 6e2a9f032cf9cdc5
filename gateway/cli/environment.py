"""What the commands take from outside: the environment, the folder they stand in, OpenCode.

It completes the environment with what a clone of the project brings itself; what the variables
mean is known to the settings alone.
"""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]


class CommandError(Exception):
    """The command can't do what was asked; the message says why and what to do."""


def environment() -> dict[str, str]:
    """The environment, with OPENCODE_BIN naming the program that npm installed beside us."""
    found = dict(os.environ)  # noqa: TID251 - the commands' one reader, which passes it to settings
    program = None if found.get("OPENCODE_BIN") else installed_opencode(PROJECT / "node_modules")
    if program is not None:
        found["OPENCODE_BIN"] = str(program)
    return found


def state_folder(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("STATE", "").strip() or ".state").absolute()


def installed_opencode(modules: Path) -> Path | None:
    """The program in OpenCode's package for this machine, which needs no install script."""
    for name in _packages(platform.system(), platform.machine(), _cpu_flags()):
        program = modules / name / "bin" / "opencode"
        if program.is_file():
            return program
    return None


def _packages(system: str, machine: str, flags: frozenset[str]) -> list[str]:
    """Names of the packages that run here, the fastest first."""
    cpu = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(machine.lower(), machine)
    name = f"opencode-{system.lower()}-{cpu}"
    if cpu != "x64":
        return [name]
    # The plain build dies of an illegal instruction where there is no AVX2.
    return [name, f"{name}-baseline"] if "avx2" in flags else [f"{name}-baseline"]


def _cpu_flags() -> frozenset[str]:
    try:
        return frozenset(Path("/proc/cpuinfo").read_text("utf-8").split())
    except OSError:
        return frozenset()


def free_of_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """What a child process may see: where programs are and which certificates are trusted."""
    passed = (
        "PATH",
        "LANG",
        "TMPDIR",
        "TZ",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "NODE_EXTRA_CA_CERTS",
    )
    return {name: environ[name] for name in passed if name in environ}


def for_docker(environ: Mapping[str, str]) -> dict[str, str]:
    """What the docker command and the build script may see: which engine, and the way out."""
    # docker keeps its contexts and its registries' logins in the home folder.
    passed = ("HOME", "VERBOSE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    found = {name: environ[name] for name in environ if name.upper() in passed}
    docker = {name: environ[name] for name in environ if name.startswith("DOCKER_")}
    return {**free_of_secrets(environ), **found, **docker}
