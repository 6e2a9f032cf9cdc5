"""Every engine in turn, for the tests of what all of them promise."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.containers import spare_key
from tests.orchestrator import engines
from tests.orchestrator.engines import Bench
from tests.orchestrator.real_docker import need_docker


@pytest.fixture(params=["fake", "process", pytest.param("docker", marks=pytest.mark.docker)])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    match request.param:
        case "fake":
            opened = engines.fake_bench()
        case "process":
            opened = engines.process_bench(tmp_path)
        case _:
            need_docker()
            opened = engines.docker_bench()
    async with opened as bench:
        yield bench


@pytest.fixture
def key() -> str:
    return secrets.token_hex(16)


@pytest.fixture
def spare() -> str:
    return spare_key(secrets.token_hex(16))
