"""What the process holds, before and after: file descriptors and blocks of memory.

Python counts its own small blocks exactly, so that a single object left behind by each of some
thousand cycles shows; what the tests themselves keep is dropped before counting.
"""

import asyncio
import gc
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from tests.gateway.wire.properties.left import nothing_left
from tests.support.wire import Served

_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Held:
    descriptors: int
    blocks: int


async def held(served: Served) -> Held:
    """Count once nobody is connected any more and every outcome is known."""
    await nothing_left(served)
    for kept in (served.door.heads, served.door.outcomes, served.door.failures):
        kept.clear()
    served.raw.received.clear()
    gc.collect()
    return Held(descriptors(), sys.getallocatedblocks())


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def repeated(cycle: Callable[[int], Awaitable[None]], times: int) -> None:
    """Run the numbered cycles, a few at a time."""
    numbers = iter(range(times))

    async def some() -> None:
        for number in numbers:
            await cycle(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(some())
