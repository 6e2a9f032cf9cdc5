"""A PostgreSQL server of one's own: private folder, free port, gone afterwards.

Debian keeps the programs out of PATH, and they refuse to run as root.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.absent import absent


def installed_server() -> Path:
    """The folder with the programs of the newest server that is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    if not found and named is None:
        absent("PostgreSQL is not installed: `make test` installs it for root on Debian.")
    return found[-1].parent if found else Path(str(named)).parent


@contextmanager
def server() -> Iterator[str]:
    """Run a server and yield the address of an empty database."""
    programs = installed_server()
    user = "postgres" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if user:
        shutil.chown(folder, user)
    options = f"-p {_free_port()} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    try:
        _run(programs / "initdb", "-D", folder / "data", "-U", "gateway", "--no-sync", user=user)
        control = (programs / "pg_ctl", "-D", folder / "data", "-w", "-t", "30")
        _run(*control, "-l", folder / "log", "-o", options, "start", user=user)
        try:
            yield f"postgresql+asyncpg://gateway@127.0.0.1:{options.split()[1]}/postgres"
        finally:
            _run(*control, "-m", "immediate", "stop", user=user)
    finally:
        shutil.rmtree(folder)


def _run(*command: str | Path, user: str | None) -> None:
    subprocess.run(command, user=user, check=True, cwd="/", stdout=subprocess.DEVNULL)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
