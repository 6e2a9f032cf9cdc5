"""The shared service as a container, where sessions are containers too: it must not be easier to
leave than they are.

A `docker run` stands for it among our children. All that is secret goes to the shell in the
container by standard input, so that neither argument lists nor `docker inspect` show it.
"""

import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from subprocess import DEVNULL

import anyio

from gateway.cli.shared import Child, SharedService
from gateway.settings import DEFAULT_IMAGE
from orchestrator.app import deployment
from orchestrator.containers import PORT, WORKSPACE
from orchestrator.engines.docker_json import DEPLOYMENT, MANAGED
from orchestrator.settings import Settings

_DOCKER_ANSWERS_S = 20.0


def container(
    service: SharedService,
    settings: Settings,
    home: Path,
    environ: Mapping[str, str],
    extra: Mapping[str, str],
) -> Child:
    """`extra` is told to its OpenCode; `environ` is where docker's own variables are found."""
    name = f"opencode-gateway-shared-{sha256(str(settings.state).encode()).hexdigest()[:12]}"
    docker = {
        key: value
        for key, value in environ.items()
        if key in ("PATH", "HOME") or key.startswith("DOCKER_")
    }
    inside = {**_configuration(home), **extra, **service.environment}
    return Child(
        home,
        _command(name, service, settings),
        docker,
        _script(inside).encode(),
        partial(_place, name, settings, docker),
    )


def _command(name: str, service: SharedService, settings: Settings) -> tuple[str, ...]:
    limits = settings.limits
    return (
        *("docker", "run", "-i", "--rm", "--init", "--pull", "never", "--name", name),
        # Its output comes to us; kept by the engine as well, it would grow without end.
        *("--log-driver", "none"),
        *_labels(settings),
        *("--network", settings.network, "--publish", f"127.0.0.1:{service.port}:{PORT}"),
        *("--add-host", "host.docker.internal:host-gateway"),
        *("--user", "1000:1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--memory", str(limits.memory_bytes), "--memory-swap", str(limits.memory_bytes)),
        *("--cpus", str(limits.cpus), "--pids-limit", str(limits.pids)),
        *("--volume", f"{name}:{WORKSPACE}", "--workdir", WORKSPACE),
        *("--entrypoint", "/bin/sh", _image(settings), "-s"),
    )


def _labels(settings: Settings) -> tuple[str, ...]:
    """Ours, but none of the sessions' containers, which the orchestrator looks after."""
    mark = f"{DEPLOYMENT}={deployment(settings.key)}"
    return ("--label", "opencode-gateway.shared=true", "--label", mark)


def _image(settings: Settings) -> str:
    images = settings.agent_images
    return DEFAULT_IMAGE if DEFAULT_IMAGE in images else images[0]


def _configuration(home: Path) -> dict[str, str]:
    """The operator's own, which a local process finds in its home."""
    try:
        text = (home / ".config" / "opencode" / "opencode.json").read_text("utf-8")
    except FileNotFoundError:
        return {}
    return {"OPENCODE_CONFIG_CONTENT": text}


def _script(environment: Mapping[str, str]) -> str:
    values = {**environment, "HOME": f"{WORKSPACE}/.home"}
    exports = [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
    serve = f"exec opencode serve --hostname 0.0.0.0 --port {PORT} </dev/null"
    return "\n".join([*exports, 'mkdir -p "$HOME"', serve, ""])


@asynccontextmanager
async def _place(name: str, settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[None]:
    """Network and volume, and nothing else of that name: neither before the run nor after it."""
    run = partial(_docker, environ)
    await run("rm", "--force", name)
    # Refused where it is there already, as it mostly is.
    await run("network", "create", "--label", f"{MANAGED}=true", settings.network)
    await run("volume", "create", *_labels(settings), name)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await run("rm", "--force", name)


async def _docker(environ: Mapping[str, str], *arguments: str) -> None:
    """What fails here shows again in the run itself, whose output is kept."""
    with anyio.move_on_after(_DOCKER_ANSWERS_S):
        await anyio.run_process(
            ["docker", *arguments],
            env=environ,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=DEVNULL,
            check=False,
        )
