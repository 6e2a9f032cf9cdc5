"""The gateway's own paths hide nothing of OpenCode's."""

import pytest

from gateway.front import is_own
from tests.support.deployment import Deployment
from tests.support.desk import Desk

pytestmark = [pytest.mark.docker, pytest.mark.opencode]


async def test_no_path_of_opencode_is_one_of_the_gateways_own(
    deployment: Deployment, alice: Desk
) -> None:
    described = await alice.own("GET", "/doc")

    paths = list(described["paths"])
    assert len(paths) > 50
    assert [path for path in paths if is_own(path.encode())] == []
