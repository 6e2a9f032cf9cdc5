"""The real `opencode serve`, offline, with its model at an address of the test's choice."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from tests.support.installed import installed_opencode

PASSWORD = "a container's password"
_STARTS_WITHIN_S = 60
_READY = "opencode server listening on "


@asynccontextmanager
async def opencode_server(folder: Path, model_url: str) -> AsyncIterator[str]:
    """Run OpenCode in `folder` and yield its address; skip the test where it is not installed."""
    program = await anyio.to_thread.run_sync(installed_opencode)
    process = await anyio.open_process(
        [str(program), "serve", "--port", "0"],
        cwd=folder,
        env=_environment(folder, model_url),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
    )
    async with process:
        try:
            with anyio.fail_after(_STARTS_WITHIN_S):
                url = await _address(process)
            yield url
        finally:
            # Right after a turn OpenCode loses a SIGTERM now and then, and would run on.
            process.kill()


async def _address(process: Process) -> str:
    assert process.stdout is not None
    said = ""
    async for text in TextReceiveStream(process.stdout):
        said += text
        if _READY in said and said.endswith("\n"):
            return said.partition(_READY)[2].split()[0]
    raise AssertionError(f"opencode serve ended before it listened: {said}")


def _environment(folder: Path, model_url: str) -> dict[str, str]:
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "name": "Scripted",
        "options": {"baseURL": f"{model_url}/v1", "apiKey": "none"},
        "models": {"scripted": {"name": "Scripted", "tool_call": True}},
    }
    config = {
        "model": "scripted/scripted",
        "small_model": "scripted/scripted",
        "enabled_providers": ["scripted"],
        "share": "disabled",
        "autoupdate": False,
        "provider": {"scripted": provider},
    }
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "OPENCODE_SERVER_PASSWORD": PASSWORD,
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }
