"""One deployment for all tests of this folder, and people with sessions of their own in it.

A turn that lasts over a minute is begun with the deployment and goes on beside the tests.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, deployed
from tests.support.desk import Desk, seated
from tests.support.engine import docker, docker_host
from tests.support.scripted_model import Model, scripted_model
from tests.support.sdk import SdkProgram, sdk_program

AGENT_IMAGE = "opencode-gateway-agent:1.18.33"
# Slower than the web UI's patience with a health probe, which is 5 s.
SLOW_IMAGE = "opencode-gateway-test-slow"
_SLOW = f"""
FROM {AGENT_IMAGE}
CMD ["/bin/sh", "-c", "sleep 6; exec opencode serve --hostname 0.0.0.0 --port 4096"]
"""

Seat = Callable[..., Awaitable[Desk]]


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package")
def engine() -> str | None:
    return docker_host()


@pytest.fixture(scope="package")
async def model(engine: str | None) -> AsyncIterator[Model]:
    async with scripted_model("docker") as served:
        yield served


@pytest.fixture(scope="package")
def slow_image(engine: str | None, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("slow-image")
    (folder / "Dockerfile").write_text(_SLOW)
    docker("build", "--quiet", "--tag", SLOW_IMAGE, str(folder))
    return SLOW_IMAGE


@pytest.fixture(scope="package")
async def running(
    engine: str | None, opencode_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Deployment]:
    state = tmp_path_factory.mktemp("in-use") / "state"
    async with deployed(state, "docker", AGENT_IMAGES=f"{AGENT_IMAGE},{SLOW_IMAGE}") as running:
        yield running


@pytest.fixture(scope="package")
async def alice(running: Deployment, model: Model) -> Desk:
    return await seated(running, model, "alice")


@pytest.fixture(scope="package")
async def bob(running: Deployment, model: Model) -> Desk:
    return await seated(running, model, "bob")


@pytest.fixture(scope="package")
async def silent_turn(alice: Desk) -> AsyncIterator[SdkProgram]:
    async with sdk_program("turn", alice, "stream for 65 seconds") as program:
        yield program


@pytest.fixture(scope="package")
def deployment(running: Deployment, silent_turn: SdkProgram) -> Deployment:
    """The deployment, in use already."""
    return running
