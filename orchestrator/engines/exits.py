"""Notice that a watched process ended, also one that is not our child, without a thread for it.

Linux gives a handle that becomes readable at the end; elsewhere the process is looked at four
times a second. This module knows containers only by the keys it gives back.
"""

import asyncio
import os
from collections.abc import Callable

from orchestrator.engines.pids import Process

_LOOK_EVERY_S = 0.25


class Exits:
    """The processes being watched, and the queue of keys whose process ended."""

    def __init__(self) -> None:
        self._ended: asyncio.Queue[str] = asyncio.Queue()
        self._watched: dict[tuple[str, Process], Callable[[], None]] = {}

    async def next(self) -> str:
        return await self._ended.get()

    def watch(self, key: str, process: Process) -> None:
        watched = (key, process)
        if watched not in self._watched:
            self._watched[watched] = _when_ended(process, lambda: self._note(watched))

    def close(self) -> None:
        for stop in self._watched.values():
            stop()
        self._watched.clear()

    def _note(self, watched: tuple[str, Process]) -> None:
        self._watched.pop(watched)()
        self._ended.put_nowait(watched[0])


def _when_ended(process: Process, call: Callable[[], None]) -> Callable[[], None]:
    """Call once when it ends, not before this returns; the result stops watching."""
    if hasattr(os, "pidfd_open"):
        return _by_handle(process, call)
    return _by_looking(process, call)


def _by_handle(process: Process, call: Callable[[], None]) -> Callable[[], None]:
    loop = asyncio.get_running_loop()
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return loop.call_soon(call).cancel
    loop.add_reader(handle, call)

    def stop() -> None:
        loop.remove_reader(handle)
        os.close(handle)

    return stop


def _by_looking(process: Process, call: Callable[[], None]) -> Callable[[], None]:
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle

    def look() -> None:
        nonlocal timer
        if process.lives():
            timer = loop.call_later(_LOOK_EVERY_S, look)
        else:
            call()

    timer = loop.call_later(_LOOK_EVERY_S, look)
    return lambda: timer.cancel()
