"""A terminal of OpenCode's, over a WebSocket through the gateway."""

from collections.abc import Mapping

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.support.deployment import Deployment
from tests.support.desk import Desk

pytestmark = [pytest.mark.docker, pytest.mark.opencode]


async def test_a_shell_runs_by_cookie(deployment: Deployment, alice: Desk) -> None:
    terminal = await alice.own("POST", "/pty", json={})

    async with _connected(alice, terminal["id"], "", {"Cookie": alice.cookie}) as socket:
        assert await _echoes(socket)


async def test_a_shell_runs_by_a_ticket_alone_and_only_once(
    deployment: Deployment, alice: Desk
) -> None:
    terminal = await alice.own("POST", "/pty", json={})
    path = f"/pty/{terminal['id']}/connect-token"
    told = await alice.own("POST", path, headers={"x-opencode-ticket": "1"})
    ticket = f"?ticket={told['ticket']}"

    async with _connected(alice, terminal["id"], ticket) as socket:
        assert await _echoes(socket)
    with pytest.raises(InvalidStatus) as refused:
        await _connected(alice, terminal["id"], ticket)
    assert refused.value.response.status_code == 403


async def test_without_ticket_or_cookie_there_is_no_shell(
    deployment: Deployment, alice: Desk
) -> None:
    terminal = await alice.own("POST", "/pty", json={})

    with pytest.raises(InvalidStatus) as refused:
        await _connected(alice, terminal["id"], "")

    assert refused.value.response.status_code == 401
    assert "X-OpenCode-Gateway-Route" not in refused.value.response.headers


def _connected(
    desk: Desk, terminal_id: str, query: str, headers: Mapping[str, str] | None = None
) -> connect:
    address = desk.base_url.replace("http", "ws", 1)
    path = f"/pty/{terminal_id}/connect{query}"
    return connect(f"{address}{path}", additional_headers=headers, proxy=None)


async def _echoes(socket: ClientConnection) -> bool:
    """Have the shell print what was not typed."""
    await socket.send("echo $((6*7))-echoed\r")
    seen = ""
    with anyio.fail_after(30):
        async for message in socket:
            seen += message if isinstance(message, str) else ""
            if "42-echoed" in seen:
                return True
    return False
