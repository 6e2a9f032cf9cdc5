"""A session's first start where its container reaches nothing: no registry, no model."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, deployed
from tests.support.desk import Desk, seated
from tests.support.engine import docker
from tests.support.scripted_model import Model

pytestmark = [pytest.mark.docker, pytest.mark.opencode]

_NETWORK = "opencode-gateway-test-internal"
_NETWORKS = "{{range $name, $_ := .NetworkSettings.Networks}}{{$name}} {{end}}"


@pytest.fixture
def internal_network(docker_engine: str | None) -> Iterator[str]:
    docker("network", "create", "--internal", _NETWORK)
    try:
        yield _NETWORK
    finally:
        docker("network", "rm", _NETWORK)


@pytest.fixture
async def deployment(
    internal_network: str, opencode_binary: Path, tmp_path: Path
) -> AsyncIterator[Deployment]:
    async with deployed(tmp_path / "state", "docker", NETWORK=internal_network) as running:
        yield running


@pytest.fixture
async def alice(deployment: Deployment, model: Model) -> Desk:
    return await seated(deployment, model, "alice")


async def test_a_first_boot_without_a_network_reaches_readiness(alice: Desk) -> None:
    health = await alice.own("GET", "/global/health")
    config = await alice.own("GET", "/config")

    assert health["healthy"] is True
    assert config["model"] == "openai-compatible/scripted"
    assert docker("inspect", "--format", _NETWORKS, alice.container).split() == [_NETWORK]
    assert docker("network", "inspect", "--format", "{{.Internal}}", _NETWORK) == "true"
