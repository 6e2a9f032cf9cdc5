"""The demo's scripted model, on a real socket that containers reach as well."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import anyio.to_thread
import uvicorn

from demo.host import host_seen_from
from demo.scripted_model import MODEL, ScriptedModel

KEY = "scripted-model-key-0123456789"


@dataclass(frozen=True, slots=True)
class Model:
    """`wish` is what makes an agent of it; `script` tells what it was asked."""

    script: ScriptedModel
    base_url: str

    @property
    def wish(self) -> dict[str, str]:
        return {
            "name": "Scripted",
            "provider": "openai-compatible",
            "model": MODEL,
            "base_url": self.base_url,
            "token": KEY,
        }


@asynccontextmanager
async def scripted_model(engine: str) -> AsyncIterator[Model]:
    """Serve it while the body runs, for sessions of this engine (docker or process)."""
    script = ScriptedModel(KEY)
    host = await anyio.to_thread.run_sync(host_seen_from, engine)
    listener = socket.create_server(("0.0.0.0" if engine == "docker" else "127.0.0.1", 0))
    config = uvicorn.Config(
        script.app, lifespan="off", log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            try:
                yield Model(script, f"http://{host}:{listener.getsockname()[1]}/v1")
            finally:
                server.should_exit = True
