"""What an ensure is ordered with, read from a real store."""

from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.orders import Orders
from tests.support.gateway_api import AGENT, gateway, session


async def test_an_order_says_whose_session_it_is_and_with_which_agent(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served, served.logged_in("alice") as client:
        made = await session(client)
        owner = await served.parts.store.account("alice")

        order = await Orders(served.parts.store, served.parts.accounts).order(made["id"])

    assert owner is not None
    assert (order["session_id"], order["user_id"]) == (made["id"], owner.user.id)
    assert (order["agent"]["id"], order["token"]) == (made["agent_id"], AGENT["token"])


async def test_for_a_session_that_is_gone_there_is_no_order(tmp_path: Path) -> None:
    async with gateway(tmp_path) as served:
        with pytest.raises(GatewayError, match="There is no such session"):
            await Orders(served.parts.store, served.parts.accounts).order("0" * 32)
