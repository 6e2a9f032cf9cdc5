"""`gateway`, `orchestrator` and `migrate`: the programs of a deployment of several machines."""

import signal
import socket
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from functools import partial

import anyio
import uvicorn

import gateway.app
import gateway.settings
import orchestrator.app
import orchestrator.settings
from gateway import administration
from gateway.cli import logs
from gateway.cli.deployment import orchestrator_config
from gateway.cli.environment import environment
from gateway.cli.serving import bind, serving
from gateway.store import Store
from migrations import upgrade


def add_gateway_to(parser: ArgumentParser) -> None:
    parser.description = (
        "Run the gateway, which people's clients talk to, against the orchestrator at "
        "ORCHESTRATOR_URL. A database without users gets its first administrator, whose one-time "
        "link is printed."
    )
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


def _gateway(_arguments: Namespace) -> None:
    settings = gateway.settings.load_settings(environment())
    logs.set_up(settings.log_level)
    _run(partial(_serve_gateway, settings))


async def _serve_gateway(settings: gateway.settings.Settings) -> None:
    with bind(settings.host, settings.port, "PORT") as listener:
        await upgrade(settings.database_url, "gateway")
        await _invite_first_administrator(settings)
        app = gateway.app.create_app(settings)
        await _serve(gateway.app.serve_config(settings, app), listener)


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
            await _serve(orchestrator_config(app), listener)
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


async def _serve(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with serving(config, listener):
            async for _ in signals:
                break
