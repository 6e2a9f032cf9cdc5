"""What the gateway says in a container's place, against what the real OpenCode says itself."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from gateway import own_events
from gateway.health import healthy
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from tests.support.opencode_server import PASSWORD, opencode_server

Client = httpx.AsyncClient  # noqa: TID251 - the test is the client
_BEATS_WITHIN_S = 30
_BY_THE_WIRE = ("date", "content-length")
_ID = re.compile(rb"evt_[0-9a-f]{12}[0-9A-Za-z]{14}")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def opencode(
    anyio_backend: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    folder: Path = tmp_path_factory.mktemp("opencode")
    async with (
        opencode_server(folder, "http://127.0.0.1:9") as url,
        Client(base_url=url, auth=("opencode", PASSWORD), timeout=_BEATS_WITHIN_S) as client,
    ):
        yield client


@pytest.mark.parametrize("path", ["/global/health", "/api/health"])
@pytest.mark.parametrize("origin", [None, "http://localhost:3000", "https://evil.example"])
async def test_health_is_answered_as_opencode_does(
    opencode: Client, path: str, origin: str | None
) -> None:
    named = {"Origin": origin} if origin else {}
    real = await opencode.get(path, headers=named)
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    head = f"GET {path} HTTP/1.1\r\nHost: h\r\n{lines}\r\n".encode()

    ours = healthy(parse_request(head, HeadLimits(), Blocks()), None)

    assert (ours.status, ours.body) == (real.status_code, real.content)
    assert _told(ours.headers) == {
        name: value for name, value in real.headers.items() if name not in _BY_THE_WIRE
    }


@pytest.mark.parametrize("path", ["/event", "/global/event", "/api/event"])
async def test_heartbeat_is_the_one_that_opencode_sends(opencode: Client, path: str) -> None:
    ours = own_events.heartbeat(path.encode())

    assert _ID.sub(b"ID", await _first_beat(opencode, path)) == _ID.sub(b"ID", ours)


async def _first_beat(opencode: Client, path: str) -> bytes:
    said = b""
    with anyio.fail_after(_BEATS_WITHIN_S):
        async with opencode.stream("GET", path) as response:
            async for piece in response.aiter_raw():
                said += piece
                for event in said.split(b"\n\n")[:-1]:
                    if b"heartbeat" in event:
                        return event + b"\n\n"
    raise AssertionError(f"no heartbeat in {said!r}")


def _told(headers: bytes) -> dict[str, Any]:
    lines = (line.partition(": ") for line in headers.decode().split("\r\n") if line)
    told = {name.lower(): value for name, _, value in lines}
    del told["x-opencode-gateway-route"]
    return told
