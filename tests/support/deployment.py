"""A whole deployment, as a person runs it, and the people who use it.

`deployed` runs `opencode-gateway up` as a process of its own on free ports and an empty folder, and
clears away every container and volume it leaves. A `Person` came in by link and has a cookie.
"""

import shutil
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import anyio.to_thread
import httpx
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from gateway import administration
from gateway.cli.environment import PROJECT, environment
from gateway.settings import load_settings
from gateway.store import Store
from orchestrator.app import deployment as deployment_mark
from tests.support.engine import docker

PROGRAM = Path(sys.executable).with_name("opencode-gateway")
UP = (str(PROGRAM), "up")
_READY_S = 90
_STOPPED_S = 60


@dataclass(slots=True)
class Person:
    """One user in one browser; `http` holds the cookie."""

    username: str
    http: httpx.AsyncClient  # noqa: TID251 - the browser of this person

    async def agent(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        return await self._made("/api/agents", wish)

    async def session(self, **wish: Any) -> dict[str, Any]:
        """Make a session, which the cookie names from now on; its `access_token` is in it."""
        return await self._made("/api/sessions", wish)

    async def _made(self, path: str, wish: Mapping[str, Any]) -> dict[str, Any]:
        answer = await self.http.post(path, json=wish)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made


@dataclass(slots=True)
class Deployment:
    """`environ` is its settings; `log` is what it printed to standard error."""

    environ: dict[str, str]
    base_url: str
    link: str
    log: Path
    process: Process
    people: list[Person] = field(default_factory=list)

    async def person(self, username: str, role: administration.Role = "user") -> Person:
        """Make a user and let them in, as their one-time link would in a browser."""
        store = await anyio.to_thread.run_sync(_store, self.environ)
        try:
            user = await administration.create_user(store, username, role=role)
            token = await administration.one_time_link(store, user)
        finally:
            await store.close()
        client = httpx.AsyncClient(base_url=self.base_url, timeout=120)  # noqa: TID251
        person = Person(username, client)
        self.people.append(person)
        answer = await client.get("/gateway/login", params={"token": token})
        assert answer.status_code == 303, answer.text
        return person

    def lines(self) -> str:
        return self.log.read_text("utf-8")


def _store(environ: Mapping[str, str]) -> Store:
    return Store(load_settings(environ).database_url)


@asynccontextmanager
async def deployed(
    state: Path, engine: str, command: Sequence[str] = UP, **settings: str
) -> AsyncIterator[Deployment]:
    """Run a deployment with this engine (docker or process) while the body runs."""
    environ = {
        **CLEAN_ENVIRONMENT,
        "STATE": str(state),
        "PORT": "0",
        "ORCHESTRATOR_PORT": "0",
        "ENGINE": engine,
        **settings,
    }
    log = state.with_name(f"{state.name}.log")
    try:
        async with running(command, environ, log) as process:
            with anyio.fail_after(_READY_S):
                link = (await _announced(process)).removeprefix("Open ").strip()
            deployment = Deployment(environ, link.partition("/gateway/")[0], link, log, process)
            environ["PORT"] = deployment.base_url.rpartition(":")[2]
            try:
                yield deployment
            finally:
                with anyio.CancelScope(shield=True):
                    for person in deployment.people:
                        await person.http.aclose()
    finally:
        if engine == "docker":
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(clear_away, state)


@asynccontextmanager
async def running(
    command: Sequence[str], environ: Mapping[str, str], log: Path
) -> AsyncIterator[Process]:
    """Run one of our programs while the body runs."""
    with log.open("ab") as errors:
        process = await anyio.open_process(
            command, cwd=PROJECT, env=environ, stdout=PIPE, stderr=errors, start_new_session=True
        )
    async with process:
        try:
            yield process
        finally:
            with anyio.CancelScope(shield=True):
                await stopped(process)


async def stopped(process: Process) -> int:
    """End it as Ctrl-C would and return its exit code."""
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
    with anyio.move_on_after(_STOPPED_S):
        return await process.wait()
    process.kill()
    return await process.wait()


async def _announced(process: Process) -> str:
    """The line by which a deployment says that it is up."""
    assert process.stdout is not None
    said = ""
    async for text in TextReceiveStream(process.stdout):
        said += text
        for line in said.splitlines(keepends=True):
            if line.startswith("Open ") and line.endswith("\n"):
                return line
    raise AssertionError(f"It ended before it was up: {said}")


def clear_away(state: Path) -> None:
    """Remove the containers and volumes of this folder's deployment, whatever became of it."""
    key = state / "keys" / "orchestrator.key"
    if not key.exists() or shutil.which("docker") is None:
        return
    mark = f"label=opencode-gateway.deployment={deployment_mark(key.read_bytes().strip())}"
    for container in docker("ps", "-aq", "--filter", mark, check=False).split():
        docker("rm", "-f", container, check=False)
    for volume in docker("volume", "ls", "-q", "--filter", mark, check=False).split():
        docker("volume", "rm", "-f", volume, check=False)


# A person's own settings must not reach a test's deployment.
_OURS = {
    *("HOST", "PUBLIC_URL", "DATABASE_URL", "ORCHESTRATOR_URL", "ORCHESTRATOR_HOST", "NETWORK"),
    *("ORCHESTRATOR_DATABASE_URL", "SERVICE_SECRET", "SERVICE_SECRET_FILE", "SHARED_URL", "REACH"),
    *("SHARED_PASSWORD", "SHARED_PASSWORD_FILE", "AGENT_IMAGES", "START_TIMEOUT_S", "LOG_LEVEL"),
    "WORKERS",
}
CLEAN_ENVIRONMENT = {name: value for name, value in environment().items() if name not in _OURS}
