"""Programs of the machine that some tests drive; where one is missing, its tests say so."""

import os
import shutil

import pytest


def installed(*names: str) -> str:
    """Return the first of these that is found; skip the test where none is.

    Where an engine is required, so is everything else: nothing may pass by being skipped.
    """
    for name in names:
        if (path := shutil.which(name)) is not None:
            return path
    reason = f"{names[0]} is not installed"
    if os.environ.get("REQUIRE_DOCKER") == "1":  # noqa: TID251 - the tests' own setting
        pytest.fail(f"REQUIRE_DOCKER=1, but {reason}.")
    pytest.skip(f"{reason}: `make test` installs it on Debian.")
