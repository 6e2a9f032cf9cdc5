"""Run our two applications under uvicorn, beside other things in one event loop.

A server is stopped in order, however its caller ends: it stops accepting, finishes what is short,
and shuts its application down. Signals are the caller's; this module knows no application.
"""

import contextlib
import errno
import gc
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import anyio
import uvicorn

from gateway.cli.environment import CommandError

_BACKLOG = 2048


def bind(host: str, port: int, variable: str) -> socket.socket:
    """Take the port before anything else is started; 0 takes a free one."""
    with _in_words(host, port, variable):
        return socket.create_server((host, port), family=_family(host), backlog=_BACKLOG)


def bind_each(host: str, port: int, variable: str, count: int) -> list[socket.socket]:
    """Take the port by several sockets, among which the kernel divides new connections.

    The first listens at once; each of the others when somebody serves it, lest clients wait there.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise CommandError("This system can't divide a port among workers: set WORKERS=1.")
    with _in_words(host, port, variable):
        # Ours share the port with each other, but not with what somebody else runs there.
        _bound(host, port, together=False).close()
        listeners = [_bound(host, port, together=True)]
        listeners[0].listen(_BACKLOG)
        port = listeners[0].getsockname()[1]
        return [*listeners, *(_bound(host, port, together=True) for _ in range(1, count))]


def _bound(host: str, port: int, *, together: bool) -> socket.socket:
    found = socket.socket(_family(host))
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if together:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if found.family == socket.AF_INET6:
        found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    try:
        found.bind((host, port))
    except OSError:
        found.close()
        raise
    return found


@contextlib.contextmanager
def _in_words(host: str, port: int, variable: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(_sentence(error, host, port, variable)) from error


def _sentence(error: OSError, host: str, port: int, variable: str) -> str:
    if error.errno == errno.EADDRNOTAVAIL or (error.errno or 0) < 0:  # below 0: getaddrinfo's
        name = variable.replace("PORT", "HOST")
        return f"This machine has no address {host}: choose another with {name}=."
    # create_server puts the address into the error's own words.
    reason = os.strerror(error.errno) if error.errno else str(error)
    choose = "Stop what uses it, or choose" if error.errno == errno.EADDRINUSE else "Choose"
    return f"Port {port} of {host} can't be used: {reason}. {choose} another with {variable}=."


def local_url(host: str, port: int) -> str:
    """Where this machine reaches what listens on `host`: nobody connects to 0.0.0.0."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class Server(uvicorn.Server):
    """uvicorn's server, told when it is up, and leaving the process's signals alone."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = anyio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        # What was made until now stays. Walking its 100,000 objects in each full collection would
        # hold up every connection for 50 ms.
        gc.collect()
        gc.freeze()
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    config: uvicorn.Config, listener: socket.socket, hang_up: Callable[[], None] | None = None
) -> AsyncIterator[Server]:
    """Serve while the body runs; both are over when this ends.

    `hang_up` ends the application's endless answers, for which the server would wait in vain.
    """
    server = Server(config)
    async with anyio.create_task_group() as beside:
        beside.start_soon(_serve, server, listener)
        try:
            await server.up.wait()
            yield server
        finally:
            if hang_up is not None and server.up.is_set():
                hang_up()
            server.should_exit = True


async def _serve(server: Server, listener: socket.socket) -> None:
    # Shielded: a cancelled server would cut its streams and skip its application's shutdown.
    with anyio.CancelScope(shield=True):
        try:
            await server.serve([listener])
        except SystemExit as error:  # how uvicorn says that the application did not start
            raise CommandError("It could not start; the lines above say why.") from error
