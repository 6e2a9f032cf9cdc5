"""What becomes of a test whose real part this machine lacks: it is skipped, or fails.

The one place that decides between the two; `REQUIRE_DOCKER=1` requires every part, not only the
engine, so that nothing passes by being skipped.
"""

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """Skip the running test with the reason, which ends with what to do; or fail it."""
    if os.environ.get("REQUIRE_DOCKER") == "1":  # noqa: TID251 - the tests' own setting
        pytest.fail(f"Required by REQUIRE_DOCKER=1: {reason}", pytrace=False)
    pytest.skip(reason)
