"""A container's life as it is seen from outside: what the session's owner is shown, and what the
engine itself says that it does.

Looking at a session is no use of its container, so a test may look as often as it likes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from subprocess import DEVNULL, PIPE
from typing import Any

import anyio
from anyio.abc import ByteReceiveStream
from anyio.streams.text import TextReceiveStream

from tests.support.desk import Desk
from tests.support.engine import docker
from tests.support.waiting import until

_DEEDS = ("create", "start", "pause", "unpause", "die", "destroy")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that the engine did to a container, in seconds of the wall clock."""

    action: str
    at: float


@dataclass(frozen=True, slots=True)
class Witness:
    """Has seen all that the engine did to a container since it began to look."""

    deeds: list[Deed] = field(default_factory=list)

    @property
    def actions(self) -> list[str]:
        return [deed.action for deed in self.deeds]

    async def sees(self, action: str, within_s: float = 90) -> float:
        """Wait for this to be the last thing done; returns when it was."""

        async def is_so() -> bool:
            return self.actions[-1:] == [action]

        await until(is_so, f"{action} after {self.actions}", within_s)
        return self.deeds[-1].at

    async def listen(self, said: ByteReceiveStream) -> None:
        rest = ""
        async for text in TextReceiveStream(said):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                nanoseconds, action = line.split(maxsplit=1)
                self.deeds.append(Deed(action, int(nanoseconds) / 1e9))


@asynccontextmanager
async def witnessed(desk: Desk) -> AsyncIterator[Witness]:
    """Listen to the engine while the body runs: of what has passed it remembers 256 events of all
    its containers, which are gone within a minute."""
    since = await _ask("info", "--format", "{{.SystemTime}}")
    options = [word for each in _DEEDS for word in ("--filter", f"event={each}")]
    chosen = ("--since", since, "--filter", f"container={desk.container}", *options)
    command = ("docker", "events", *chosen, "--format", "{{.TimeNano}} {{.Action}}")
    witness = Witness()
    process = await anyio.open_process(command, stdin=DEVNULL, stdout=PIPE, stderr=None)
    async with process, anyio.create_task_group() as beside:
        assert process.stdout is not None
        beside.start_soon(witness.listen, process.stdout)
        try:
            yield witness
        finally:
            process.kill()


async def shown(desk: Desk) -> dict[str, Any]:
    """What the owner is told of the session now."""
    told: dict[str, Any] = (await desk.http.get(f"/api/sessions/{desk.session_id}")).json()
    return told


async def until_it_is(desk: Desk, state: str, within_s: float = 90) -> dict[str, Any]:
    """Wait for a state; returns what the owner is told of it then."""
    told: dict[str, Any] = {}

    async def is_so() -> bool:
        told.update(await shown(desk))
        return bool(told["state"] == state)

    await until(is_so, f"{desk.person.username}'s container {state}", within_s)
    return told


async def until_busy(desk: Desk, *phrases: str) -> None:
    async def is_so() -> bool:
        return bool((await shown(desk))["busy"] == list(phrases))

    await until(is_so, f"{desk.person.username}'s container busy with {phrases}")


async def engine_status(desk: Desk) -> str:
    """`running`, `paused`, `exited` … in the engine's own words; empty if there is none."""
    return await _ask("ps", "-a", "--filter", f"name={desk.container}", "--format", "{{.State}}")


def seconds(moment: str) -> float:
    """A moment of RFC 3339 on the wall clock."""
    return datetime.fromisoformat(moment).timestamp()


async def _ask(*arguments: str) -> str:
    return await anyio.to_thread.run_sync(lambda: docker(*arguments))
