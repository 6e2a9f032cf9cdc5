"""`opencode-gateway doctor`: one line for each thing a deployment needs, and what to do about it.

It looks and changes nothing. A check returns what it found, or raises Broken with what to do.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from contextlib import suppress

import httpx

import gateway.settings
import orchestrator.settings
from gateway.cli import memory
from gateway.cli.environment import PROJECT, CommandError, environment, for_docker, state_folder
from gateway.cli.findings import Broken, Check, Environ, Missing
from gateway.cli.images import has_agent_image
from gateway.cli.serving import local_url
from gateway.settings import DEFAULT_IMAGE, MOST_WORKERS

_NEEDED_BYTES = 4 << 30


def add_to(parser: ArgumentParser) -> None:
    parser.description = "Check what a deployment needs. Exit code 1 if something is broken."
    parser.set_defaults(run=_doctor)


def _doctor(_arguments: Namespace) -> None:
    environ = environment()
    results = [_told(name, check, environ) for name, check in _CHECKS]
    if not all(results):
        raise CommandError("Something is broken; the lines above say what to do.")


def _told(name: str, check: Check, environ: Environ) -> bool:
    try:
        mark, found = "ok", check(environ)
    except Missing as error:
        mark, found = "--", str(error)
    except Broken as error:
        mark, found = "!!", str(error)
    print(f"{mark}  {name:<12} {found}")
    return mark != "!!"


def _of_orchestrator(check: Check) -> Check:
    """Check only where the orchestrator is not another program, perhaps on another machine."""

    def checked(environ: Environ) -> str:
        if environ.get("ORCHESTRATOR_URL"):
            raise Missing("not needed here: the orchestrator is the one at ORCHESTRATOR_URL")
        return check(environ)

    return checked


def _python(_environ: Environ) -> str:
    return sys.version.split()[0]


def _node(environ: Environ) -> str:
    if shutil.which("node", path=environ.get("PATH")) is None:
        raise Missing("not found: install node with npm, OpenCode is installed by it")
    return _output(["node", "--version"], environ)


def _opencode(environ: Environ) -> str:
    program = environ.get("OPENCODE_BIN") or shutil.which("opencode", path=environ.get("PATH"))
    if program is None and environ.get("SHARED_URL") and environ.get("ENGINE") == "docker":
        raise Missing("not needed here: sessions and the shared service bring their own")
    if program is None:
        raise Broken("not found: run `npm ci`, or set OPENCODE_BIN to the program")
    version, pinned = _output([program, "--version"], environ), _pinned()
    if pinned and version != pinned:
        return f"{version} at {program}; tested is {pinned}"
    return f"{version} at {program}"


def _pinned() -> str | None:
    with suppress(OSError):
        manifest = json.loads((PROJECT / "package.json").read_text("utf-8"))
        return str(manifest["dependencies"]["opencode-ai"])
    return None


def _engine(environ: Environ) -> str:
    if environ.get("ENGINE") == "process":
        return "local processes, which do not isolate sessions from each other"
    failed = Broken if environ.get("ENGINE") == "docker" else Missing
    if shutil.which("docker", path=environ.get("PATH")) is None:
        raise failed("no docker command: sessions run as local processes, which do not isolate")
    try:
        version = _output(["docker", "version", "--format", "{{.Server.Version}}"], environ)
    except Broken as error:
        raise failed(
            f"no Docker Engine answers: start Docker, or set DOCKER_HOST ({error})"
        ) from error
    return f"Docker {version}"


def _image(environ: Environ) -> str:
    try:
        if has_agent_image(environ):
            return DEFAULT_IMAGE
    except CommandError as error:
        raise Missing(str(error)) from error
    raise Missing(f"{DEFAULT_IMAGE} is not built yet: `up` builds it")


def _port(environ: Environ) -> str:
    host, port = environ.get("HOST") or "127.0.0.1", environ.get("PORT") or "8000"
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise Broken(f"PORT must be a port number up to 65535, not {port!r}")
    try:
        with socket.create_server((host, int(port))):
            return f"{port} of {host} is free"
    except OSError as error:
        if _is_healthy(f"{local_url(host, int(port))}/gateway/health"):
            return f"{port} of {host} is served by a gateway, which is healthy"
        raise Missing(
            f"{port} of {host} is in use ({error.strerror}): set PORT= for another"
        ) from error


def _workers(environ: Environ) -> str:
    text = environ.get("WORKERS") or "1"
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MOST_WORKERS:
        raise Broken(f"WORKERS must be a whole number from 1 to {MOST_WORKERS}, not {text!r}")
    count, cores = int(text), os.cpu_count() or 1
    if count > 1 and not hasattr(socket, "SO_REUSEPORT"):
        raise Broken("this system can't divide a port among workers: set WORKERS=1")
    if count > cores:
        raise Missing(f"{count}, but {cores} cores: more workers than cores serve nobody faster")
    return f"{count} of {cores} cores; `gateway` alone reads it, `up` is one process"


def _is_healthy(url: str) -> bool:
    try:
        told = httpx.get(url, timeout=5.0, trust_env=False)
        return bool(told.json()["healthy"])
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError):
        return False


def _settings(environ: Environ) -> str:
    """Let both programs read all of theirs; the keys that this makes go with the folder."""
    with tempfile.TemporaryDirectory() as state:
        try:
            gateway.settings.load_settings({**environ, "STATE": state})
            if not environ.get("ORCHESTRATOR_URL"):
                orchestrator.settings.load_settings({**environ, "STATE": state})
        except (gateway.settings.SettingsError, orchestrator.settings.SettingsError) as error:
            raise Broken(str(error)) from error
    return "every value is one that can be"


def _orchestrator(environ: Environ) -> str:
    url = environ.get("ORCHESTRATOR_URL")
    if not url:
        raise Missing("not looked for: ORCHESTRATOR_URL names none, and `up` brings its own")
    # The address is not repeated: a wrong one may hold a password.
    if not _is_healthy(f"{url.strip().rstrip('/')}/agent-controller/health"):
        raise Missing("the one at ORCHESTRATOR_URL does not answer, or is not well: start it first")
    return "the one at ORCHESTRATOR_URL is healthy"


def _disk(environ: Environ) -> str:
    folder = state_folder(environ)
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < _NEEDED_BYTES:
        raise Broken(f"{free >> 20} MiB free at {folder}: an image and a few sessions need 4 GiB")
    return f"{free >> 30} GiB free at {folder}"


def _secrets(environ: Environ) -> str:
    keys = state_folder(environ) / "keys"
    if not keys.is_dir():
        raise Missing(f"{keys} does not exist yet: the first start makes it")
    open_to_others = [path.name for path in sorted(keys.iterdir()) if path.stat().st_mode & 0o077]
    if open_to_others:
        raise Broken(f"others can read {', '.join(open_to_others)}: chmod 600 {keys}/*")
    return f"{keys} is readable by its owner alone"


def _database(environ: Environ) -> str:
    """The version is checked by `migrate`, which changes the database; this looks at the files."""
    if re.match(r"postgres", environ.get("DATABASE_URL", "")):
        return "PostgreSQL, checked at the start"
    file = state_folder(environ) / "gateway.db"
    if not file.exists():
        raise Missing(f"{file} does not exist yet: the first start makes it")
    if file.stat().st_mode & 0o077:
        raise Broken(f"others can read {file}: chmod 600 {file}")
    return str(file)


def _output(command: list[str], environ: Environ) -> str:
    try:
        told = subprocess.run(  # noqa: S603 - programs that the checks name
            command,
            env=for_docker(environ),
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Broken(f"{command[0]} can't be run: {error}") from error
    if told.returncode != 0:
        raise Broken(told.stderr.strip().splitlines()[-1] if told.stderr.strip() else "it failed")
    return told.stdout.strip()


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("python", _python),
    ("settings", _settings),
    ("orchestrator", _orchestrator),
    ("node", _of_orchestrator(_node)),
    ("opencode", _of_orchestrator(_opencode)),
    ("engine", _of_orchestrator(_engine)),
    ("image", _of_orchestrator(_image)),
    ("port", _port),
    ("workers", _workers),
    ("disk", _disk),
    ("memory", _of_orchestrator(memory.check)),
    ("secrets", _secrets),
    ("database", _database),
)
