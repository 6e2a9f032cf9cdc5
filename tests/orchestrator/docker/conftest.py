"""The Docker engine on a network of its own, removed with all that was made on it."""

import secrets
from collections.abc import AsyncIterator

import pytest

from orchestrator.containers import spare_key
from tests.orchestrator.engines import Bench, docker_bench
from tests.orchestrator.real_docker import need_docker


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    need_docker()
    async with docker_bench() as bench:
        yield bench


@pytest.fixture
def key() -> str:
    return secrets.token_hex(16)


@pytest.fixture
def spare() -> str:
    return spare_key(secrets.token_hex(16))
