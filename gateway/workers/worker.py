"""One worker as its parent sees it: a process, a line to it, and how it begins and ends.

Which slot it serves and what follows from its end is the crew's; what it says, the switchboard's.
"""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from subprocess import DEVNULL

import anyio
from anyio.abc import Process

from gateway.workers.bus import LONGEST_LINE
from gateway.workers.switchboard import Message

logger = logging.getLogger(__name__)

# From the numbers of a listening socket and of a line to the parent, to what a worker runs.
Command = Callable[[int, int], Sequence[str]]

_STARTS_WITHIN_S = 60.0
# A worker's own deadline for what it still answers is shorter.
_ENDS_WITHIN_S = 20.0
_MOST_UNHEARD = 8 << 20  # bytes; a worker that hears nothing any more must not fill the parent


@dataclass(eq=False, slots=True)
class Worker:
    """`settled` once it serves or has ended; a retired one is meant to end."""

    slot: int
    process: Process
    reader: asyncio.StreamReader
    line: asyncio.StreamWriter
    since: float = field(default_factory=anyio.current_time)
    lasted_s: float = 0.0
    serves: bool = False
    retired: bool = False
    settled: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)

    def say(self, message: Message) -> None:
        unheard = self.line.transport.get_write_buffer_size()
        if unheard < _MOST_UNHEARD and not self.line.is_closing():
            self.line.write(json.dumps(message).encode() + b"\n")

    async def messages(self) -> AsyncIterator[Message]:
        """Yield what it says until it has ended; that it serves is noted here."""
        # One that dies with something unread resets its line, and a last line may lack its end.
        with suppress(ConnectionError):
            while (line := await self.reader.readline()).endswith(b"\n"):
                message: Message = json.loads(line)
                if "serves" in message:
                    self.serves = True
                    self.settled.set()
                yield message
        await self.process.wait()
        self.line.close()
        self.lasted_s = anyio.current_time() - self.since
        self.ended.set()
        self.settled.set()

    async def comes_to_serve(self) -> bool:
        with anyio.move_on_after(_STARTS_WITHIN_S) as late:
            await self.settled.wait()
        if late.cancelled_caught:
            logger.error("worker did not start in time pid=%d", self.process.pid)
        return self.serves

    async def end(self) -> None:
        """Have it finish what is short, and return when it has ended."""
        self.retired = True
        with suppress(ProcessLookupError):
            self.process.terminate()
        with anyio.move_on_after(_ENDS_WITHIN_S):
            await self.ended.wait()
            return
        logger.warning("worker did not end in time and is killed pid=%d", self.process.pid)
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.ended.wait()


async def start(slot: int, listener: socket.socket, command: Command) -> Worker:
    """Run a fresh interpreter, and so what is installed by now; Ctrl-C is the parent's to hear."""
    ours, theirs = socket.socketpair()
    try:
        process = await anyio.open_process(
            command(listener.fileno(), theirs.fileno()),
            stdin=DEVNULL,
            stdout=None,
            stderr=None,
            pass_fds=(listener.fileno(), theirs.fileno()),
            start_new_session=True,
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    reader, line = await asyncio.open_connection(sock=ours, limit=LONGEST_LINE)
    return Worker(slot, process, reader, line)
