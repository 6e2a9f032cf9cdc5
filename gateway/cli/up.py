"""`opencode-gateway up`: everything on this machine, until Ctrl-C."""

from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from signal import Signals

import anyio

from gateway import administration
from gateway.cli import signals
from gateway.cli.deployment import Deployment, SharedEnviron, deployed
from gateway.cli.environment import environment
from gateway.cli.open_files import allow_most
from gateway.roster import User

# What must live as long as the deployment does is held by the context that yields the link.
Link = Callable[[Deployment], AbstractAsyncContextManager[str]]


def add_to(parser: ArgumentParser) -> None:
    parser.description = (
        "Start gateway, orchestrator and shared service on this machine and run until Ctrl-C. "
        "PORT, HOST, STATE, ENGINE and the other settings are taken from the environment."
    )
    parser.set_defaults(run=_up)


def _up(_arguments: Namespace) -> None:
    run(environment(), administrator_link)


def run(
    environ: Mapping[str, str], link: Link, shared_environ: SharedEnviron = lambda _engine: {}
) -> None:
    """Run a deployment until a signal comes, announced with the link that `link` makes."""
    allow_most()
    anyio.run(
        partial(_until_told, environ, link, shared_environ), backend_options={"use_uvloop": True}
    )


@asynccontextmanager
async def administrator_link(running: Deployment) -> AsyncIterator[str]:
    user = await administration.ensure_first_administrator(running.parts.store)
    yield await link_for(running, user)


async def link_for(running: Deployment, user: User) -> str:
    token = await administration.one_time_link(running.parts.store, user)
    return f"{running.parts.settings.public_url}/gateway/login?token={token}"


async def _until_told(
    environ: Mapping[str, str], link: Link, shared_environ: SharedEnviron
) -> None:
    with anyio.open_signal_receiver(*signals.ending()) as told:
        async with anyio.create_task_group() as group:
            run_scope = anyio.CancelScope()
            group.start_soon(_listen, told, run_scope)
            with run_scope:
                async with (
                    deployed(environ, _say, shared_environ) as running,
                    link(running) as address,
                ):
                    _say(f"Open {address}")
                    await anyio.sleep_forever()
            group.cancel_scope.cancel()
    _say("Stopped. Sessions keep their files and conversations; their containers start on demand.")


async def _listen(told: AsyncIterator[Signals], run_scope: anyio.CancelScope) -> None:
    async for _ in told:
        again = run_scope.cancel_called
        _say("Still stopping: containers get a few seconds." if again else "Stopping …")
        run_scope.cancel()


def _say(line: str) -> None:
    with suppress(OSError):  # a closed terminal reads nothing, and stopping goes on
        print(line, flush=True)
