"""Run `sdk.mjs`, a program written with OpenCode's SDK, as a process of its own."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from tests.support.absent import absent
from tests.support.desk import Desk
from tests.support.installed import installed

_PROGRAM = Path(__file__).with_name("sdk.mjs")
_SDK = Path(__file__).parents[2] / "node_modules" / "@opencode-ai" / "sdk"


@dataclass(frozen=True, slots=True)
class SdkProgram:
    process: Process

    async def told(self, within_s: float) -> dict[str, Any]:
        """What it printed when it had done."""
        assert self.process.stdout is not None
        with anyio.fail_after(within_s):
            lines = "".join([text async for text in TextReceiveStream(self.process.stdout)])
            code = await self.process.wait()
        assert code == 0, lines
        told: dict[str, Any] = json.loads(lines)
        return told


@asynccontextmanager
async def sdk_program(
    what: str, desk: Desk, prompt: str, authorization: str | None = None
) -> AsyncIterator[SdkProgram]:
    """Begin it (what: stream or turn); it presents the session's token as Bearer if not told."""
    node = installed("node")
    if not _SDK.is_dir():
        absent("OpenCode's SDK is not installed: run `npm ci`.")
    process = await anyio.open_process(
        [node, str(_PROGRAM), what, desk.base_url, prompt],
        env={"AUTHORIZATION": authorization or f"Bearer {desk.access_token}"},
        stdout=PIPE,
        stderr=None,
    )
    async with process:
        try:
            yield SdkProgram(process)
        finally:
            if process.returncode is None:
                process.kill()
