"""The data plane runs on uvloop and, where that is missing, on asyncio's own loop: test on both."""

from typing import Any

import pytest


@pytest.fixture(params=[True, False], ids=["uvloop", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    return "asyncio", {"use_uvloop": request.param}
