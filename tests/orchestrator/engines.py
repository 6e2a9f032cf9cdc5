"""Each engine for the contract tests, with the means to do to its containers what others can do."""

import json
import os
import secrets
import signal
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.containers import name_of
from orchestrator.engines.base import Engine
from orchestrator.engines.docker import DockerEngine
from orchestrator.engines.docker_json import Place
from orchestrator.engines.process import ProcessEngine
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.real_docker import ENVIRONMENT, PROGRAM, build, docker

IMAGE = "opencode-gateway-contract"
# An image that knows nothing of ours: no /workspace, no user 1000 of its own.
DOCKERFILE = f"""
FROM opencode-gateway-agent:1.18.33
USER root
RUN rm -rf /workspace && echo '{PROGRAM.encode().hex()}' | perl -ne 'print pack "H*", $_' > /program
WORKDIR /
CMD ["/bin/sh", "/program"]
"""


@dataclass
class Bench:
    """An engine, another run of the same, a stranger's, and a killer from outside."""

    engine: Engine
    again: Callable[[], Engine]
    stranger: Engine
    kill: Callable[[str], Awaitable[None]]


@asynccontextmanager
async def fake_bench() -> AsyncIterator[Bench]:
    engine = FakeEngine()
    yield Bench(engine, lambda: engine, FakeEngine(), engine.kill)
    await engine.aclose()


@asynccontextmanager
async def process_bench(folder: Path) -> AsyncIterator[Bench]:
    program = folder / "opencode"
    program.write_text(f"#!/bin/sh\n{PROGRAM}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    state = folder / "state"
    made: list[Engine] = []

    def make(state: Path = state) -> Engine:
        made.append(ProcessEngine(program, state, os.defpath))
        return made[-1]

    async def kill(key: str) -> None:
        note = json.loads((state / "processes" / f"{key}.json").read_text())
        os.kill(note["process"]["pid"], signal.SIGKILL)

    yield Bench(make(), make, make(folder / "other"), kill)
    await _clear(made[0], made)


@asynccontextmanager
async def docker_bench() -> AsyncIterator[Bench]:
    build(IMAGE, DOCKERFILE)
    network = f"opencode-gateway-test-{secrets.token_hex(4)}"
    deployment = secrets.token_hex(16)
    made: list[Engine] = []

    def make(deployment: str = deployment) -> Engine:
        made.append(DockerEngine(ENVIRONMENT, Place(deployment, network, "ip")))
        return made[-1]

    async def kill(key: str) -> None:
        docker("kill", name_of(key))

    yield Bench(make(), make, make("somebody else's"), kill)
    await _clear(made[0], made)
    for network_id in docker("network", "ls", "-q", "-f", f"name={network}").split():
        docker("network", "rm", network_id)


async def _clear(engine: Engine, made: list[Engine]) -> None:
    for seen in await engine.find_all():
        await engine.remove(seen.key)
    for volume in await engine.volumes():
        await engine.remove_volume(volume)
    for each in made:
        await each.aclose()
