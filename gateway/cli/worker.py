"""What a worker of `opencode-gateway gateway --workers N` runs, given two open sockets by number.

The first is the listening socket of its slot, the second the line to its parent. Its settings are
read from the environment and the files anew, so that a reload takes up what has changed in these.
"""

import signal
import socket
import sys
from collections.abc import AsyncIterator
from functools import partial

import anyio
from anyio.abc import TaskGroup

from gateway.app import create_app, serve_config
from gateway.cli import logs, told
from gateway.cli.environment import environment
from gateway.cli.serving import serving
from gateway.settings import Settings, load_settings
from gateway.workers.bus import Bus
from migrations import upgrade


def main() -> int:
    listener, line = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    # A reload is the parent's, even if a terminal or an operator says it to all.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return told(partial(_run, listener, line))


def _run(listener: socket.socket, line: socket.socket) -> None:
    settings = load_settings(environment())
    logs.set_up(settings.log_level)
    serve = partial(_serve, settings, listener, line)
    anyio.run(serve, backend_options={"use_uvloop": True})


async def _serve(settings: Settings, listener: socket.socket, line: socket.socket) -> None:
    """Serve until SIGTERM, or until the parent has gone."""
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        bus = await Bus.open(line)
        # After a reload this may be newer than the parent; otherwise there is nothing to do.
        await upgrade(settings.database_url, "gateway")
        app = create_app(settings, bus)
        async with serving(serve_config(settings, app), listener):
            bus.serves()
            await _until_told(signals, bus)
        await bus.aclose()


async def _until_told(signals: AsyncIterator[signal.Signals], bus: Bus) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(_wait_for_signal, signals, group)
        await bus.lost.wait()
        group.cancel_scope.cancel()


async def _wait_for_signal(signals: AsyncIterator[signal.Signals], group: TaskGroup) -> None:
    async for _ in signals:
        group.cancel_scope.cancel()


if __name__ == "__main__":
    sys.exit(main())
