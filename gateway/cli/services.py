"""`gateway`, `orchestrator` and `migrate`: the programs of a deployment of several machines."""

import signal
import socket
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack
from functools import partial

import anyio
import uvicorn

import gateway.app
import gateway.settings
import orchestrator.app
import orchestrator.settings
from gateway import administration
from gateway.cli import logs, signals
from gateway.cli.deployment import orchestrator_config
from gateway.cli.environment import environment
from gateway.cli.open_files import allow_most
from gateway.cli.serving import bind, bind_each, serving
from gateway.store import Store
from gateway.workers.crew import Crew
from migrations import upgrade
from orchestrator.app import end_streams


def add_gateway_to(parser: ArgumentParser) -> None:
    parser.description = (
        "Run the gateway, which people's clients talk to, against the orchestrator at "
        "ORCHESTRATOR_URL. A database without users gets its first administrator, whose one-time "
        "link is printed. With several workers, SIGHUP puts new ones in their place without "
        "refusing anybody."
    )
    parser.add_argument("--workers", metavar="N", help="how many processes serve (WORKERS, or 1)")
    parser.set_defaults(run=_gateway)


def add_orchestrator_to(parser: ArgumentParser) -> None:
    parser.description = (
        "Run the orchestrator, which owns the containers. It answers the gateway alone: keep its "
        "port away from people. Containers are left running when it stops."
    )
    parser.set_defaults(run=_orchestrator)


def add_migrate_to(parser: ArgumentParser) -> None:
    parser.description = "Bring the gateway's and the orchestrator's database to this version."
    parser.set_defaults(run=_migrate)


def _gateway(arguments: Namespace) -> None:
    environ = environment()
    if arguments.workers is not None:
        environ["WORKERS"] = arguments.workers
    settings = gateway.settings.load_settings(environ)
    logs.set_up(settings.log_level)
    allow_most()
    _run(partial(_serve_gateway if settings.workers == 1 else _serve_by_workers, settings))


async def _serve_gateway(settings: gateway.settings.Settings) -> None:
    with bind(settings.host, settings.port, "PORT") as listener:
        await upgrade(settings.database_url, "gateway")
        await _invite_first_administrator(settings)
        app = gateway.app.create_app(settings)
        await _serve(gateway.app.serve_config(settings, app), listener)


async def _serve_by_workers(settings: gateway.settings.Settings) -> None:
    """Serve by workers until SIGINT or SIGTERM; SIGHUP changes them for new ones."""
    with ExitStack() as stack:
        listeners = bind_each(settings.host, settings.port, "PORT", settings.workers)
        for listener in listeners:
            stack.enter_context(listener)
        told = stack.enter_context(
            anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        )
        await upgrade(settings.database_url, "gateway")
        await _invite_first_administrator(settings)
        crew = Crew(listeners, _worker)
        async with anyio.create_task_group() as group:
            group.start_soon(_heed, told, crew, group.cancel_scope)
            async with crew.serving():
                await anyio.sleep_forever()


def _worker(listener: int, line: int) -> list[str]:
    # Without -P the folder it is started in would be a place for modules.
    return [sys.executable, "-P", "-m", "gateway.cli.worker", str(listener), str(line)]


async def _heed(told: AsyncIterator[signal.Signals], crew: Crew, scope: anyio.CancelScope) -> None:
    async for one in told:
        if one is signal.SIGHUP:
            crew.reload_soon()
        else:
            scope.cancel()


async def _invite_first_administrator(settings: gateway.settings.Settings) -> None:
    store = Store(settings.database_url)
    try:
        if await store.users():
            return
        user = await administration.ensure_first_administrator(store)
        token = await administration.one_time_link(store, user)
    finally:
        await store.close()
    print(f"Open {settings.public_url}/gateway/login?token={token}", flush=True)


def _orchestrator(_arguments: Namespace) -> None:
    settings = orchestrator.settings.load_settings(environment())
    logs.set_up(settings.log_level)
    _run(partial(_serve_orchestrator, settings))


async def _serve_orchestrator(settings: orchestrator.settings.Settings) -> None:
    with bind(settings.host, settings.port, "ORCHESTRATOR_PORT") as listener:
        await orchestrator.app.prepare(settings)
        engine = await orchestrator.app.choose_engine(settings)
        try:
            app = orchestrator.app.create_app(settings, engine)
            await _serve(orchestrator_config(app), listener, partial(end_streams, app))
        finally:
            with anyio.CancelScope(shield=True):
                await engine.aclose()


def _migrate(_arguments: Namespace) -> None:
    environ = environment()
    anyio.run(partial(_upgrade_both, environ))


async def _upgrade_both(environ: Mapping[str, str]) -> None:
    ours = gateway.settings.load_settings(environ)
    await upgrade(ours.database_url, "gateway")
    await orchestrator.app.prepare(orchestrator.settings.load_settings(environ))
    print("Both databases are at this version.")


def _run(serve: Callable[[], object]) -> None:
    anyio.run(serve, backend_options={"use_uvloop": True})  # type: ignore[arg-type]


async def _serve(
    config: uvicorn.Config, listener: socket.socket, hang_up: Callable[[], None] | None = None
) -> None:
    """Serve until a signal ends it."""
    with anyio.open_signal_receiver(*signals.ending()) as told:
        async with serving(config, listener, hang_up):
            async for _ in told:
                break
