"""A whole gateway for the behaviours that are not the data plane's alone."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.front import Gateway, gateway


@pytest.fixture
async def gw(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path) as running:
        yield running
