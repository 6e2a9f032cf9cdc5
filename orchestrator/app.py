"""create_app(settings): the one place where the orchestrator's parts meet.

On the way out containers are left running, so that a restart disturbs nobody; only a program
that is the whole deployment asks for them to be stopped.
"""

import hmac
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware

from migrations import MigrationError, upgrade
from orchestrator import api, server
from orchestrator.claim import claim
from orchestrator.engines.base import Engine, EngineUnavailable
from orchestrator.engines.docker import DockerEngine
from orchestrator.engines.docker_json import Place
from orchestrator.engines.process import ProcessEngine
from orchestrator.lease import Lease, identity_of
from orchestrator.office import Office
from orchestrator.orders import Allowed
from orchestrator.settings import Settings, SettingsError
from orchestrator.starting import Clients, Starter
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor

logger = logging.getLogger(__name__)


def create_app(settings: Settings, engine: Engine | None = None) -> Starlette:
    """The orchestrator. Without an engine, the settings choose one when it starts."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await prepare(settings)
            office = app.state.office = await _office(settings, engine, stack)
            await stack.enter_async_context(office.open())
            yield
            if settings.stop_containers_on_exit and office.acting is not None:
                await office.acting.stop_all()

    app = Starlette(
        routes=api.routes,
        exception_handlers=api.exception_handlers,
        middleware=[Middleware(api.ServiceSecret, secret=settings.service_secret)],
        lifespan=lifespan,
    )
    app.state.allowed = Allowed(settings.agent_images, settings.limits)
    return app


def end_streams(app: Starlette) -> None:
    """End the event streams, which would otherwise hold up the server's end."""
    office: Office = app.state.office
    if office.acting is not None:
        office.acting.end_listening()


async def prepare(settings: Settings) -> None:
    """Make folder and database what this version needs. Raises SettingsError."""
    try:
        await anyio.Path(settings.state).mkdir(mode=0o700, parents=True, exist_ok=True)
        await upgrade(settings.database_url, "orchestrator")
    except (MigrationError, OSError) as error:
        raise SettingsError(str(error)) from error


async def choose_engine(settings: Settings) -> Engine:
    """The engine asked for, on a folder that is this process's alone from now on; `auto` is Docker
    where one answers. Raises SettingsError."""
    await anyio.to_thread.run_sync(claim, settings.state)
    if settings.engine != "process":
        place = Place(deployment(settings.key), settings.network, settings.reach)
        docker = DockerEngine(settings.docker, place)
        if settings.engine == "docker":
            return docker
        try:
            await docker.ping()
        except EngineUnavailable as error:
            await docker.aclose()
            logger.warning(
                "%s Local processes are used instead. They do not isolate sessions: each can read "
                "what the others' OpenCode servers store.",
                error,
            )
        else:
            return docker
    if settings.opencode is None:
        raise SettingsError(
            "Sessions run as local processes and no opencode program was found: "
            "install it, set OPENCODE_BIN to its path, or start a Docker Engine."
        )
    return ProcessEngine(settings.opencode, settings.state, settings.search_path)


def deployment(key: bytes) -> str:
    """The mark by which this state folder's containers are told from any other's."""
    return hmac.new(key, b"deployment", sha256).hexdigest()[:32]


async def _office(settings: Settings, engine: Engine | None, stack: AsyncExitStack) -> Office:
    store = await Store.open(settings.database_url)
    stack.push_async_callback(store.aclose)
    if engine is None:
        engine = await choose_engine(settings)
        stack.push_async_callback(engine.aclose)
    identity = await anyio.to_thread.run_sync(identity_of, settings.state)
    lease = await Lease.open(settings.database_url, identity)
    stack.push_async_callback(lease.aclose)
    questions = await stack.enter_async_context(server.client())
    streams = await stack.enter_async_context(server.stream_client())
    starter = Starter(engine, Clients(questions, streams), settings.key, settings.start_timeout_s)

    def supervisor() -> Supervisor:
        return Supervisor(engine, store, starter, settings.key, settings.terms)

    return Office(lease, supervisor, engine.hurry)
