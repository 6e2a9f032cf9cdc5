"""The orchestrator ends at once, although a gateway hears its events for as long as both live."""

import socket
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio

from gateway.cli.deployment import orchestrator_config
from gateway.cli.serving import serving
from orchestrator.app import create_app, end_streams
from orchestrator.settings import load_settings
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.serving import call

SECRET = "a secret of this test alone"
_AT_ONCE_S = 2.0


async def test_an_open_event_stream_does_not_hold_up_the_end(tmp_path: Path) -> None:
    settings = load_settings({"STATE": str(tmp_path), "SERVICE_SECRET": SECRET, "POOL_SIZE": "0"})
    app = create_app(settings, FakeEngine())
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with call(address, SECRET) as caller, AsyncExitStack() as stack:
        async with serving(orchestrator_config(app), listener, partial(end_streams, app)):
            stream = caller.stream("GET", "/agent-controller/events")
            lines = (await stack.enter_async_context(stream)).aiter_lines()
            assert await anext(lines) == "event: snapshot"
            asked = anyio.current_time()
        took_s = anyio.current_time() - asked

        assert [line async for line in lines] == ['data: {"sessions": []}', ""]
        assert took_s < _AT_ONCE_S
