"""The one place where the gateway's parts meet.

`create_app` builds them, its lifespan starts and ends what runs beside the requests, and
`serve_config` puts our connection class under uvicorn. No part is made anywhere else.
"""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn import Config

from gateway import api, chat, following, pages
from gateway.access_log import AccessLog
from gateway.accounts import Accounts
from gateway.activity import Activity
from gateway.changes import Changes, unheard
from gateway.conversations import Conversations
from gateway.credentials import Cookies
from gateway.directory import Directory
from gateway.errors import GatewayError
from gateway.front import Front
from gateway.limits import Limits
from gateway.metrics import Metrics, rendered
from gateway.orchestrator_client import OrchestratorClient
from gateway.orders import Orders
from gateway.parts import Parts, parts
from gateway.places import basic
from gateway.removals import Removals
from gateway.roster import Roster
from gateway.routing import Place, Upstream
from gateway.settings import Settings, Shared
from gateway.sleepers import Sleepers, Unfinished, end_streams
from gateway.store import Store
from gateway.streams import Streams
from gateway.wire.connection import ClientConnection
from gateway.wire.live import Live
from gateway.wire.quota import Quota
from gateway.wire.request_head import HeadLimits
from gateway.wire.tasks import Tasks
from gateway.wire.upstream import Pool
from gateway.wire.wiring import Wiring
from gateway.workers.bus import Bus
from gateway.workers.totals import Snapshot

# Longer than the wire's own deadline and its farewell take, and no longer than Docker waits.
_DRAIN_S = 10
_ORCHESTRATOR_TELLS_WITHIN_S = 1.0


def create_app(settings: Settings, bus: Bus | None = None) -> Starlette:
    """Build the gateway; its database must have been migrated before it is started.

    `bus` leads to the other workers, where there are any.
    """
    tasks, live = Tasks(), Live(settings.limits.connections_per_session)
    together = _parts(settings, tasks, Streams(live), bus)
    front = Front(together, tasks)
    wiring = _wiring(settings.limits, front, tasks, live)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await _load(together)
        async with _beside(together, wiring, front.log):
            yield
        if bus is not None:
            bus.farewell(_counted(together))
        await tasks.aclose()
        together.directory.close()
        await together.directory.client.aclose()
        await together.store.close()

    routes = [*api.routes, *chat.routes, *pages.routes, Route("/gateway/metrics", _metrics)]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers=api.exception_handlers)
    # A redirect would name the host that was asked for, in plain HTTP; an unknown path is a 404.
    app.router.redirect_slashes = False
    app.state.parts = together
    app.state.wiring = wiring
    return app


@asynccontextmanager
async def _beside(together: Parts, wiring: Wiring, log: AccessLog) -> AsyncIterator[None]:
    """Run what runs beside the requests, until the context is left."""
    activity = Activity(together.directory)
    sleepers = Sleepers(activity)
    together.directory.watch(sleepers.changed)
    together.directory.watch(Unfinished().changed)
    together.directory.watch(end_streams)
    async with anyio.create_task_group() as beside:
        beside.start_soon(together.directory.follow)
        beside.start_soon(wiring.deadlines.run)
        beside.start_soon(log.run)
        beside.start_soon(following.follow, together)
        beside.start_soon(activity.run)
        beside.start_soon(sleepers.run)
        if together.bus is not None:
            counted = partial(_counted, together)
            beside.start_soon(together.bus.follow, together.changes.take, counted)
        yield
        beside.cancel_scope.cancel()


def _wiring(limits: Limits, front: Front, tasks: Tasks, live: Live) -> Wiring:
    return Wiring(
        door=front,
        tasks=tasks,
        live=live,
        limits=HeadLimits(limits.head_bytes, limits.target_bytes, limits.headers),
        addresses=Quota(limits.connections_per_address),
        body_bytes=limits.body_bytes or sys.maxsize,
        early_bytes=limits.pipelined_bytes,
    )


def serve_config(settings: Settings, app: Starlette) -> Config:
    """Return uvicorn's configuration: its server and lifespan, our connections."""
    return Config(
        app,
        host=settings.host,
        port=settings.port,
        http=_connection_class(app.state.wiring),
        ws="none",
        # Forwarded headers are ours to set and nobody's to be believed.
        proxy_headers=False,
        server_header=False,
        date_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=_DRAIN_S,
    )


def _connection_class(wiring: Wiring) -> type[ClientConnection]:
    class WiredConnection(ClientConnection):
        def __init__(self, **server: Any) -> None:
            super().__init__(wiring, **server)

    return WiredConnection


def _parts(settings: Settings, tasks: Tasks, streams: Streams, bus: Bus | None) -> Parts:
    store = Store(settings.database_url)
    accounts = Accounts(settings.token_keys)
    client = OrchestratorClient(
        settings.orchestrator_url, settings.service_secret, settings.start_timeout_s
    )
    roster, conversations = Roster(), Conversations(store)
    tell = unheard if bus is None else bus.tell
    changes = Changes(roster, conversations, accounts.attempts, streams, tell)
    removals = Removals(changes.take, store.remove_session)
    order = Orders(store, accounts).order
    return Parts(
        settings=settings,
        store=store,
        roster=roster,
        changes=changes,
        removals=removals,
        cookies=Cookies(list(settings.cookie_keys), secure=settings.secure),
        accounts=accounts,
        directory=Directory(client, tasks, order, _back_home(streams), removals.gone),
        conversations=conversations,
        live=streams,
        metrics=Metrics(),
        shared=_shared(settings.shared),
        bus=bus,
    )


def _back_home(streams: Streams) -> Callable[[str, Place], None]:
    """End what the shared service streams in a container's place once the container is back."""

    def changed(session_id: str, place: Place) -> None:
        if place.upstream is not None:
            streams.close_fallback(session_id)

    return changed


def _shared(shared: Shared | None) -> Upstream | None:
    if shared is None:
        return None
    url = urlsplit(shared.url)
    assert url.hostname is not None, "the settings take only addresses with a host"
    tls = url.scheme == "https"
    port = url.port or (443 if tls else 80)
    authorization = basic(shared.username, shared.password) if shared.password else b""
    pool = Pool("shared", url.hostname, port, tls=tls)
    return Upstream("shared", url.hostname, port, authorization, pool)


async def _load(together: Parts) -> None:
    store = together.store
    together.roster.load(
        await store.users(), await store.logins(), await store.sessions(), await store.agents()
    )
    together.conversations.load(await store.shared_conversations())


async def _metrics(request: Request) -> Response:
    found = parts(request)
    own = _counted(found)
    told = await found.bus.totals(own) if found.bus else [own]
    # Asked by the worker that is asked alone: a sum would tell it once for each of them.
    text = rendered(told) + await _of_orchestrator(found.directory.client)
    return Response(text, media_type="text/plain; version=0.0.4")


async def _of_orchestrator(client: OrchestratorClient) -> bytes:
    """Return what the orchestrator counts; nothing where it does not answer."""
    try:
        with anyio.fail_after(_ORCHESTRATOR_TELLS_WITHIN_S):
            return (await client.metrics()).encode()
    except (GatewayError, TimeoutError):
        return b""


def _counted(together: Parts) -> Snapshot:
    together.metrics.orchestrator_connected = together.directory.connected
    return together.metrics.snapshot()
