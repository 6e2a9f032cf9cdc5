"""A deployment whose containers are frozen after three seconds, and two people in it.

Bob's terminals are opened with it: one that has printed counts as printing for a minute longer,
which passes beside the tests of the others.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.support.deployment import Deployment, deployed
from tests.support.desk import Desk, seated
from tests.support.engine import docker_host
from tests.support.life import Witness, witnessed
from tests.support.scripted_model import Model, scripted_model

FREEZE_AFTER_S = 3
ASK_WAIT_S = 8
# Where much else runs, a start may take a minute.
PATIENT = {"START_TIMEOUT_S": "240"}
# Nine seconds' worth of output, and then a program that runs on without a word.
_PRINTS = "for i in 1 2 3 4 5 6 7 8 9; do date +printed-%s; sleep 1; done; exec sleep 600"


@dataclass(frozen=True, slots=True)
class Terminals:
    """`prints` is the id of one that nobody looks at; `shell` is connected to an idle shell."""

    witness: Witness
    prints: str
    shell: ClientConnection


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package")
async def model() -> AsyncIterator[Model]:
    docker_host()
    async with scripted_model("docker") as served:
        yield served


@pytest.fixture(scope="package")
async def restless(
    model: Model, opencode_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    settings = {"FREEZE_AFTER_S": str(FREEZE_AFTER_S), "ASK_WAIT_S": str(ASK_WAIT_S), **PATIENT}
    state = tmp_path_factory.mktemp("restless") / "state"
    async with deployed(state, "docker", POOL_SIZE="0", **settings) as running:
        yield running


@pytest.fixture(scope="package")
async def bob(restless: Deployment, model: Model) -> Desk:
    return await seated(restless, model, "bob")


@pytest.fixture(scope="package")
async def terminals(bob: Desk) -> AsyncIterator[Terminals]:
    shell = await bob.own("POST", "/pty", json={})
    command = {"command": "/bin/sh", "args": ["-c", _PRINTS]}
    prints = await bob.own("POST", "/pty", json=command)
    async with witnessed(bob) as witness, connected(bob, shell["id"]) as socket:
        yield Terminals(witness, prints["id"], socket)


@pytest.fixture(scope="package")
async def alice(restless: Deployment, model: Model, terminals: Terminals) -> Desk:
    """Somebody beside whom Bob's terminals are open already, and whose OpenCode is warm: of its
    first prompt it says only when it has loaded everything that a turn runs."""
    desk = await seated(restless, model, "alice")
    await desk.chat("hello")
    return desk


def connected(desk: Desk, terminal_id: str) -> connect:
    address = desk.base_url.replace("http", "ws", 1)
    path = f"/pty/{terminal_id}/connect"
    return connect(f"{address}{path}", additional_headers={"Cookie": desk.cookie}, proxy=None)
