"""What the acceptance tests start from: an engine, the real OpenCode, and a scripted model."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, deployed
from tests.support.engine import docker_host
from tests.support.installed import installed_opencode
from tests.support.scripted_model import Model, scripted_model


@pytest.fixture(scope="session")
def opencode_binary() -> Path:
    return installed_opencode()


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def each_engine(request: pytest.FixtureRequest) -> str:
    """The test runs with either; the one with Docker needs an engine that answers."""
    if request.param == "docker":
        docker_host()
    return str(request.param)


@pytest.fixture
def docker_engine() -> str | None:
    return docker_host()


@pytest.fixture
async def model(docker_engine: str | None) -> AsyncIterator[Model]:
    async with scripted_model("docker") as served:
        yield served


@pytest.fixture
async def deployment(
    docker_engine: str | None, opencode_binary: Path, tmp_path: Path
) -> AsyncIterator[Deployment]:
    """A deployment of its own for this test, whose sessions run in Docker containers."""
    async with deployed(tmp_path / "state", "docker") as running:
        yield running
