"""The shared service of a one-machine deployment: an `opencode serve` kept running beside us.

It has a home of its own and none of our environment. Where a SHARED_URL is set, the shared service
is somebody else's and this module is not used. It does not know what is served by it.
"""

import contextlib
import logging
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
from anyio.abc import Process

logger = logging.getLogger(__name__)

_STOP_S = 5.0
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, slots=True)
class SharedService:
    program: Path
    home: Path
    environment: Mapping[str, str]
    port: int
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Ask for its health; blocks for a second at most."""
        try:
            told = httpx.get(
                f"{self.url}/global/health", auth=("opencode", self.password), timeout=1.0
            )
            return bool(told.status_code == 200 and told.json()["healthy"] is True)
        except (httpx.HTTPError, ValueError, KeyError):
            return False


def shared_service(program: Path, home: Path, environment: Mapping[str, str]) -> SharedService:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    return SharedService(program, home, environment, port, secrets.token_urlsafe(32))


@contextlib.asynccontextmanager
async def kept_running(service: SharedService) -> AsyncIterator[None]:
    """Run it while the body runs, and again whenever it ends by itself."""
    async with anyio.create_task_group() as beside:
        beside.start_soon(_keep_running, service)
        try:
            yield
        finally:
            beside.cancel_scope.cancel()


async def _keep_running(service: SharedService) -> None:
    pause_s = 1.0
    while True:
        began = anyio.current_time()
        code = await _run(service)
        if anyio.current_time() - began > _LONGEST_PAUSE_S:
            pause_s = 1.0
        logger.warning("The shared service ended (%s); it is started again in %g s.", code, pause_s)
        await anyio.sleep(pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


async def _run(service: SharedService) -> int:
    workspace = service.home / "workspace"
    workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (service.home / "opencode.log").open("ab") as log:
        process = await anyio.open_process(
            [service.program, "serve", "--hostname", "127.0.0.1", "--port", str(service.port)],
            cwd=workspace,
            env=_environment(service),
            stdin=-3,
            stdout=log,
            stderr=log,
            # Ctrl-C in the terminal is for us: it is stopped when the requests have ended.
            start_new_session=True,
        )
    try:
        return await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await _stop(process)


def _environment(service: SharedService) -> dict[str, str]:
    return {
        **service.environment,
        "HOME": str(service.home),
        "OPENCODE_SERVER_PASSWORD": service.password,
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
    }


async def _stop(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    with anyio.move_on_after(_STOP_S):
        await process.wait()
        return
    process.kill()
    await process.wait()
