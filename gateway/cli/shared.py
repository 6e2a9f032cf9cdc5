"""The shared service of a one-machine deployment: an OpenCode server kept running beside us.

What serves it is a `Child`: a local process, made here, or a container, made in
`shared_container`. Where a SHARED_URL is set, the shared service is somebody else's and this module
is not used. It does not know what is served by it.
"""

import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import PIPE
from typing import BinaryIO

import anyio
import anyio.to_thread
import httpx
from anyio.abc import Process

from orchestrator.engines import pids

logger = logging.getLogger(__name__)

# It is for talk: what its tools did would be done for everybody, and by whoever is served.
PERMISSION = '{"bash":"deny","edit":"deny","webfetch":"deny","external_directory":"deny"}'
_STOP_S = 5.0
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class SharedService:
    """Where it answers, which is chosen before it runs."""

    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What its OpenCode is told in either form."""
        return {
            "OPENCODE_SERVER_PASSWORD": self.password,
            "OPENCODE_PERMISSION": PERMISSION,
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
        }

    def answers(self) -> bool:
        """Ask for its health; blocks for a second at most."""
        try:
            told = httpx.get(
                f"{self.url}/global/health", auth=("opencode", self.password), timeout=1.0
            )
            return bool(told.status_code == 200 and told.json()["healthy"] is True)
        except (httpx.HTTPError, ValueError, KeyError):
            return False


@dataclass(frozen=True, slots=True)
class Child:
    """A program that serves for as long as it runs; it is given `script` on standard input.

    `place` is held around each run: what must be there before, and nowhere afterwards.
    """

    home: Path
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    script: bytes = field(default=b"", repr=False)
    place: Callable[[], AbstractAsyncContextManager[None]] = contextlib.nullcontext


def shared_service() -> SharedService:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    return SharedService(port, secrets.token_urlsafe(32))


def local_process(
    service: SharedService, program: Path, home: Path, environment: Mapping[str, str]
) -> Child:
    """It has a home of its own and none of our environment, and is not isolated beyond that."""
    serve = (str(program), "serve", "--hostname", "127.0.0.1", "--port", str(service.port))
    return Child(home, serve, {**environment, **service.environment, "HOME": str(home)})


@contextlib.asynccontextmanager
async def kept_running(child: Child) -> AsyncIterator[None]:
    """Run it while the body runs, and again whenever it ends by itself."""
    async with anyio.create_task_group() as beside:
        beside.start_soon(_keep_running, child)
        try:
            yield
        finally:
            beside.cancel_scope.cancel()


async def _keep_running(child: Child) -> None:
    pause_s = 1.0
    while True:
        began = anyio.current_time()
        end = await _ended(child)
        if anyio.current_time() - began > _LONGEST_PAUSE_S:
            pause_s = 1.0
        logger.warning("The shared service ended (%s); it is started again in %g s.", end, pause_s)
        await anyio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _ended(child: Child) -> str:
    """Run it to its end and tell why; a deployment without its shared service is still one."""
    try:
        async with child.place():
            return f"exit code {await _run(child)}"
    except OSError as error:
        return str(error)


async def _run(child: Child) -> int:
    note = child.home / "process"
    with await anyio.to_thread.run_sync(_output, child.home, note) as output:
        process = await anyio.open_process(
            child.command,
            cwd=child.home / "workspace",
            env=child.environment,
            stdin=PIPE,
            stdout=output,
            stderr=output,
            # Ctrl-C in the terminal is for us: it is stopped when the requests have ended.
            start_new_session=True,
        )
        try:
            await anyio.to_thread.run_sync(_write_down, note, process.pid)
            await _give(process, child.script)
            return await process.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(process)
                await anyio.Path(note).unlink(missing_ok=True)


def _output(home: Path, note: Path) -> BinaryIO:
    """End what a killed `up` left running, which would be on nobody's port; open the log."""
    (home / "workspace").mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError, ValueError):
        pid, _, born = note.read_text("utf-8").partition(" ")
        pids.Process(int(pid), born).end(_STOP_S)
    return (home / "opencode.log").open("ab")


def _write_down(note: Path, pid: int) -> None:
    born = pids.birth(pid)
    if born is not None:
        note.write_text(f"{pid} {born}", "utf-8")


async def _give(process: Process, script: bytes) -> None:
    assert process.stdin is not None
    # It may have ended before it read all; its exit code says so.
    with contextlib.suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with process.stdin:
            await process.stdin.send(script)


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    with anyio.move_on_after(_STOP_S):
        await process.wait()
        return
    process.kill()
    await process.wait()
