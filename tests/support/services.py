"""A deployment of separate programs, each of which can be ended and started again alone.

Ports and folders stay the same over restarts, as an operator's do. The people in it are served by
the gateway as in any deployment.
"""

import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
from anyio.abc import Process

from tests.support.deployment import CLEAN_ENVIRONMENT, PROGRAM, Deployment, clear_away, running
from tests.support.waiting import until

_ENDS_WITHIN_S = 30


@dataclass(slots=True)
class Services:
    """`orchestrator` and `gateway`, by these names; `stack` ends what still runs."""

    environ: dict[str, str]
    base_url: str
    log: Path
    stack: AsyncExitStack
    command: Sequence[str] = (str(PROGRAM),)
    programs: dict[str, Process] = field(default_factory=dict)

    def deployment(self) -> Deployment:
        process = self.programs["gateway"]
        return Deployment(self.environ, self.base_url, "", self.log, process)

    async def start(self, name: str) -> None:
        """Start a program; with both running, return when each knows the other."""
        program = running((*self.command, name), self.environ, self.log)
        self.programs[name] = await self.stack.enter_async_context(program)
        if len(self.programs) == 2:
            await until(self.are_connected, "gateway and orchestrator connected")

    async def end(self, name: str, how: signal.Signals) -> int:
        """Send the signal; returns the exit code."""
        process = self.programs.pop(name)
        process.send_signal(how)
        with anyio.fail_after(_ENDS_WITHIN_S):
            return await process.wait()

    async def are_connected(self) -> bool:
        async with httpx.AsyncClient(base_url=self.base_url) as client:  # noqa: TID251
            try:
                told = (await client.get("/gateway/health")).json()
            except httpx.TransportError:
                return False
        return bool(told["orchestrator"]["connected"])


@asynccontextmanager
async def services(
    state: Path, command: Sequence[str] = (str(PROGRAM),), **settings: str
) -> AsyncIterator[Services]:
    """Run orchestrator and gateway on Docker while the body runs; there is no shared service.

    `command` is what is given their names.
    """
    front, back = free_port(), free_port()
    environ = {
        **CLEAN_ENVIRONMENT,
        "STATE": str(state),
        "PORT": str(front),
        "ORCHESTRATOR_PORT": str(back),
        "ORCHESTRATOR_URL": f"http://127.0.0.1:{back}",
        "ENGINE": "docker",
        **settings,
    }
    log = state.with_name(f"{state.name}.log")
    try:
        async with AsyncExitStack() as stack:
            both = Services(environ, f"http://127.0.0.1:{front}", log, stack, command)
            await both.start("orchestrator")
            await both.start("gateway")
            yield both
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(clear_away, state)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
