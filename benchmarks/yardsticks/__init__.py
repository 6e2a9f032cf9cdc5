"""The proxies that the gateway is measured against, each set up to do the same work.

Their settings are the files beside this one, with the reason for each. A program that this machine
lacks is left out, with a sentence.
"""

import re
import shutil
import subprocess
from pathlib import Path

from benchmarks import programs
from benchmarks.cores import Cores
from benchmarks.programs import Program

_HERE = Path(__file__).parent
_CHP = _HERE.parent / "node_modules/configurable-http-proxy/bin/configurable-http-proxy"
# Debian keeps servers where only root's PATH leads.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

NAMES = ("nginx", "haproxy", "caddy", "configurable-http-proxy")
# nginx with other than its default buffers, for large bodies alone.
NGINX_64K = "nginx-64k"


def present() -> list[str]:
    """Return the names of those that this machine has."""
    return [name for name in NAMES if _program(name)]


def version(name: str) -> str:
    """Ask a program for its version."""
    flag = {"caddy": "version", "configurable-http-proxy": "--version"}.get(name, "-v")
    done = subprocess.run(
        [_program(name) or name, flag], capture_output=True, text=True, check=True
    )
    found = re.search(r"\d+(\.\d+)+", done.stdout + done.stderr)
    return found[0] if found else "unknown"


def start(name: str, folder: Path, cores: Cores, upstream: int) -> Program:
    port = programs.free_port()
    folder.mkdir(parents=True, exist_ok=True)
    # nginx's worker is another user, who must reach what it writes.
    folder.chmod(0o755)
    program = _program(name)
    assert program is not None, f"{name} is missing"
    return programs.start(
        [program, *_arguments(name, folder, port, upstream)],
        cores=cores.proxy,
        folder=folder,
        port=port,
        GOMAXPROCS="1",
        HOME=str(folder),
    )


def _arguments(name: str, folder: Path, port: int, upstream: int) -> list[str]:
    match name:
        case "nginx" | "nginx-64k":
            if name == NGINX_64K:
                _written("buffers.conf", folder, port, upstream)
            written = _written("nginx.conf", folder, port, upstream)
            return ["-p", str(folder), "-e", "error.log", "-c", written]
        case "haproxy":
            return ["-db", "-f", _written("haproxy.cfg", folder, port, upstream)]
        case "caddy":
            written = _written("Caddyfile", folder, port, upstream)
            return ["run", "--adapter", "caddyfile", "--config", written]
        case _:
            # It keeps its connections to the upstream and has no access log at this level.
            return [
                "--ip", "127.0.0.1", "--port", str(port),
                "--api-ip", "127.0.0.1", "--api-port", str(programs.free_port()),
                "--default-target", f"http://127.0.0.1:{upstream}", "--log-level", "info",
            ]  # fmt: skip


def _written(template: str, folder: Path, port: int, upstream: int) -> str:
    text = (_HERE / template).read_text()
    path = folder / template
    path.write_text(text.replace("@PORT@", str(port)).replace("@UPSTREAM@", str(upstream)))
    return str(path)


def _program(name: str) -> str | None:
    if name == "configurable-http-proxy":
        return str(_CHP) if _CHP.exists() and shutil.which("node") else None
    return shutil.which("nginx" if name == NGINX_64K else name, path=_PATH)
