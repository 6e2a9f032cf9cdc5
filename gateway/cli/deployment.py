"""A whole deployment in one process: orchestrator, gateway and shared service on this machine.

`deployed` starts the parts in the order in which they need each other and ends them in reverse;
containers are stopped then, and start again on demand. Who waits for what until when is decided
here; what the parts do is not known here.
"""

import fcntl
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import uvicorn

import gateway.app
import gateway.settings
import orchestrator.app
import orchestrator.settings
from gateway.cli import logs
from gateway.cli.environment import CommandError, free_of_secrets
from gateway.cli.images import ensure_agent_image
from gateway.cli.serving import bind, local_url, serving
from gateway.cli.shared import Child, SharedService, kept_running, local_process, shared_service
from gateway.cli.shared_container import container
from gateway.parts import Parts
from migrations import upgrade
from orchestrator.engines.base import Engine

_HEALTHY_S = 30.0

Say = Callable[[str], None]
# What the shared service is told beyond where it serves, by engine: docker or process. May block.
SharedEnviron = Callable[[str], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is running; `engine` is docker or process."""

    parts: Parts = field(repr=False)
    engine: str


@asynccontextmanager
async def deployed(
    environ: Mapping[str, str], say: Say, shared_environ: SharedEnviron = lambda _engine: {}
) -> AsyncIterator[Deployment]:
    """Run everything while the body runs. Raises CommandError, or the settings' errors."""
    async with AsyncExitStack() as stack:
        environ = dict(environ)
        front, back = _ports(environ, stack)
        shared = _shared(environ)
        ours = gateway.settings.load_settings(environ)
        theirs = orchestrator.settings.load_settings(environ)
        logs.set_up(ours.log_level)
        _claim(ours.state, stack)
        await upgrade(ours.database_url, "gateway")
        await orchestrator.app.prepare(theirs)
        engine = await orchestrator.app.choose_engine(theirs)
        stack.push_async_callback(_close, engine)
        await _get_ready(engine, theirs, environ, say)
        if shared is not None:
            make = partial(_child, shared, engine.name, theirs, environ, shared_environ)
            if (child := await anyio.to_thread.run_sync(make)) is not None:
                await stack.enter_async_context(kept_running(child))
            else:
                say("There is no shared service: the docker command, which runs it, is missing.")
                shared, ours = None, replace(ours, shared=None)
        theirs = replace(theirs, stop_containers_on_exit=True)
        app = orchestrator.app.create_app(theirs, engine)
        await stack.enter_async_context(serving(orchestrator_config(app), back))
        web = gateway.app.create_app(ours)
        await stack.enter_async_context(serving(gateway.app.serve_config(ours, web), front))
        await _until_healthy(local_url(ours.host, ours.port), shared, say)
        yield Deployment(web.state.parts, engine.name)


async def _close(engine: Engine) -> None:
    with anyio.CancelScope(shield=True):
        await engine.aclose()


def orchestrator_config(app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        lifespan="on",
        http="h11",  # the parser that is always there; another may be installed beside it
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=5,
    )


def _ports(environ: dict[str, str], stack: AsyncExitStack) -> tuple[socket.socket, socket.socket]:
    """Take both ports and write into the environment which they are."""
    front = stack.enter_context(
        bind(environ.get("HOST") or "127.0.0.1", _number(environ, "PORT", 8000), "PORT")
    )
    environ["PORT"] = str(front.getsockname()[1])
    back = stack.enter_context(_back(environ))
    environ["ORCHESTRATOR_URL"] = f"http://127.0.0.1:{back.getsockname()[1]}"
    return front, back


def _back(environ: Mapping[str, str]) -> socket.socket:
    """Only we talk to the orchestrator, so where nobody chose its port any will do."""
    chosen = environ.get("ORCHESTRATOR_PORT")
    try:
        return bind("127.0.0.1", _number(environ, "ORCHESTRATOR_PORT", 8001), "ORCHESTRATOR_PORT")
    except CommandError:
        if chosen:
            raise
        return bind("127.0.0.1", 0, "ORCHESTRATOR_PORT")


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65535):
        raise CommandError(f"{name} must be a port number up to 65535, not {text!r}.")
    return int(text)


def _shared(environ: dict[str, str]) -> SharedService | None:
    """The shared service to run here, unless there is one elsewhere already."""
    if (environ.get("SHARED_URL") or "").strip():
        return None
    service = shared_service()
    environ["SHARED_URL"] = service.url
    environ["SHARED_PASSWORD"] = service.password
    environ.pop("SHARED_PASSWORD_FILE", None)
    return service


def _child(
    service: SharedService,
    engine: str,
    theirs: orchestrator.settings.Settings,
    environ: Mapping[str, str],
    extra: SharedEnviron,
) -> Child | None:
    """It runs as the sessions do; None without what runs it. Blocks."""
    home = theirs.state / "shared"
    if engine == "docker":
        if shutil.which("docker", path=environ.get("PATH")) is None:
            return None
        return container(service, theirs, home, environ, extra(engine))
    assert theirs.opencode is not None  # or the process engine would not have been chosen
    seen = {**free_of_secrets(environ), **extra(engine)}
    return local_process(service, theirs.opencode, home, seen)


def _claim(state: Path, stack: AsyncExitStack) -> None:
    """Two deployments of one folder would stop each other's containers."""
    file = stack.enter_context((state / "lock").open("w"))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise CommandError(
            f"Another OpenCode Gateway is running on {state}: stop it, or choose another STATE=."
        ) from error


async def _get_ready(
    engine: Engine, theirs: orchestrator.settings.Settings, environ: Mapping[str, str], say: Say
) -> None:
    await engine.ping()
    if engine.name == "docker":
        if gateway.settings.DEFAULT_IMAGE in theirs.agent_images:
            await anyio.to_thread.run_sync(ensure_agent_image, environ)
        say("Sessions run in Docker containers.")
    elif theirs.engine == "process":  # with `auto` the choice was announced with its reason
        say(
            "Sessions run as local processes. They do not isolate: each can read the others' files."
        )


async def _until_healthy(url: str, shared: SharedService | None, say: Say) -> None:
    """Wait for gateway and orchestrator; without its shared service a deployment is still one."""
    if not await _answers_in_time(partial(_gateway_answers, url)):
        raise CommandError(f"The gateway is not healthy after {_HEALTHY_S:.0f} s; see above.")
    if shared is not None and not await _answers_in_time(shared.answers):
        say("The shared service does not answer yet: a session that can't start gets an error.")


async def _answers_in_time(answers: Callable[[], bool]) -> bool:
    deadline = anyio.current_time() + _HEALTHY_S
    while not await anyio.to_thread.run_sync(answers):
        if anyio.current_time() > deadline:
            return False
        await anyio.sleep(0.05)
    return True


def _gateway_answers(url: str) -> bool:
    try:
        told = httpx.get(f"{url}/gateway/health", timeout=2.0)
        return bool(told.json()["healthy"] and told.json()["orchestrator"]["connected"])
    except (httpx.HTTPError, ValueError, KeyError):
        return False
