"""The gateway's API on a real store, with a directory that only remembers what it was asked.

Callers come in as they do in life: by the cookie or the token they present, read by the same code
as the front's.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
from anyio import to_thread
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from gateway import api
from gateway.accounts import Accounts, hash_password, new_id
from gateway.changes import Changes
from gateway.conversations import Conversations
from gateway.credentials import Cookies, Presented, identify
from gateway.directory import Directory
from gateway.errors import GatewayError
from gateway.metrics import Metrics
from gateway.parts import Parts
from gateway.removals import Removals
from gateway.roster import Roster, User
from gateway.routing import Place, State
from gateway.settings import load_settings
from gateway.store import Account, Store
from gateway.streams import Streams
from gateway.wire.live import Live
from migrations import upgrade

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse"

Browser = httpx.AsyncClient  # noqa: TID251 - each has a cookie jar of its own


@dataclass
class FakeOrchestrator:
    """Tells of the containers it was given, unless it is away; `silent` until somebody sets it."""

    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    kept: list[tuple[str, float]] = field(default_factory=list)
    failing: GatewayError | None = None
    silent: anyio.Event | None = None

    async def show_many(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        await self._answers()
        return [self.views[each] for each in ids if each in self.views]

    async def keep(self, session_id: str, for_s: float) -> dict[str, Any]:
        await self._answers()
        if session_id not in self.views:
            raise GatewayError("session_not_found", "There is no such session.")
        self.kept.append((session_id, for_s))
        until = datetime.now(tz=UTC) + timedelta(seconds=for_s)
        self.views[session_id]["awake_until"] = until.isoformat() if for_s else None
        return self.views[session_id]

    async def _answers(self) -> None:
        if self.failing is not None:
            raise self.failing
        if self.silent is not None:
            await self.silent.wait()


def view(session_id: str, state: str = "ready", **told: Any) -> dict[str, Any]:
    """A container as the orchestrator tells of it."""
    return {
        "session_id": session_id,
        "generation": 1,
        "state": state,
        "why": "OpenCode answers.",
        "since": datetime.now(tz=UTC).isoformat(),
        **told,
    }


@dataclass
class FakeDirectory:
    """Honest about places: what is started is starting, what is removed is new again."""

    places: dict[str, Place] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    failing: GatewayError | None = None
    connected: bool = True
    client: FakeOrchestrator = field(default_factory=FakeOrchestrator)
    stopping: anyio.Event | None = None

    def place(self, session_id: str) -> Place:
        return self.places.get(session_id, Place(State.NEW))

    def start_soon(self, session_id: str, *, force: bool = False) -> None:
        self.asked.append(("start, forced" if force else "start", session_id))
        self.places[session_id] = Place(State.STARTING, why="It starts.", phase="booting")

    async def stop(self, session_id: str) -> None:
        self._ask("stop", session_id)
        if self.stopping is not None:
            self.places[session_id] = Place(State.STOPPING, why="A turn may end first.")
            await self.stopping.wait()
        self.places[session_id] = Place(State.STOPPED, why="It was stopped.")

    async def remove(self, session_id: str) -> None:
        self._ask("remove", session_id)
        self.places.pop(session_id, None)

    def _ask(self, what: str, session_id: str) -> None:
        self.asked.append((what, session_id))
        if self.failing is not None:
            raise self.failing


class Watched(Live):
    """Remembers under which names connections were to be ended."""

    def __init__(self) -> None:
        super().__init__()
        self.closed: list[str] = []

    def close(self, key: str) -> int:
        self.closed.append(key)
        return super().close(key)


@dataclass
class Gateway:
    parts: Parts
    app: Starlette
    directory: FakeDirectory
    live: Watched
    address: str = "192.0.2.1"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["state"] = {"caller": self._caller(dict(scope["headers"]))}
            scope["client"] = (self.address, 50000)
        await self.app(scope, receive, send)

    def _caller(self, headers: dict[bytes, bytes]) -> object:
        cookie = headers.get(b"cookie")
        presented = Presented((cookie,) if cookie else (), headers.get(b"authorization"))
        return identify(presented, self.parts.cookies, self.parts.roster)

    async def add_user(self, username: str, password: str | None = PASSWORD) -> User:
        user = User(new_id(), username, "user")
        kept = password and hash_password(password, CHEAP)
        await self.parts.store.add_account(Account(user, kept, datetime.now(tz=UTC)))
        return user

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[Browser]:
        transport = httpx.ASGITransport(cast(Any, self), raise_app_exceptions=False)
        async with Browser(
            transport=transport, base_url="http://gateway.test", headers=headers
        ) as client:
            yield client

    @asynccontextmanager
    async def logged_in(self, username: str) -> AsyncIterator[Browser]:
        """A browser of this user, who is made if need be."""
        if await self.parts.store.account(username) is None:
            await self.add_user(username)
        async with self.client() as client:
            wish = {"username": username, "password": PASSWORD}
            assert (await client.post("/gateway/login", json=wish)).status_code == 204
            yield client


@asynccontextmanager
async def gateway(tmp_path: Path, **environ: str) -> AsyncIterator[Gateway]:
    chosen = {"STATE": str(tmp_path), "AGENT_IMAGES": "agent:1,agent:2", **environ}
    # On a thread, as everything that reads files before there is a loop in life.
    settings = await to_thread.run_sync(load_settings, chosen)
    await upgrade(settings.database_url, "gateway")
    store = await to_thread.run_sync(Store, settings.database_url, 0.05)
    live, directory = Watched(), FakeDirectory()
    roster, conversations, streams = Roster(), Conversations(store), Streams(live)
    accounts = Accounts(settings.token_keys, CHEAP)
    changes = Changes(roster, conversations, accounts.attempts, streams)
    parts = Parts(
        settings=settings,
        store=store,
        roster=roster,
        changes=changes,
        removals=Removals(changes.take, store.remove_session),
        cookies=Cookies(list(settings.cookie_keys), secure=settings.secure),
        accounts=accounts,
        directory=cast(Directory, directory),
        conversations=conversations,
        live=streams,
        metrics=Metrics(),
        shared=None,
    )
    app = Starlette(routes=api.routes, exception_handlers=api.exception_handlers)
    app.state.parts = parts
    try:
        yield Gateway(parts, app, directory, live)
    finally:
        await store.close()


AGENT = {"name": "Claude", "provider": "anthropic", "token": "sk-ant-0123456789"}


async def agent(client: Browser, **changes: object) -> dict[str, Any]:
    answer = await client.post("/api/agents", json={**AGENT, **changes})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def session(client: Browser, **wish: object) -> dict[str, Any]:
    """Make a session, and an agent for it unless the wish names one."""
    if "agent_id" not in wish:
        wish["agent_id"] = (await agent(client))["id"]
    answer = await client.post("/api/sessions", json=wish)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def refusal(answer: httpx.Response) -> tuple[int, str, str | None]:
    """Return (status, code, field) of an answer, once it has the contract's error shape."""
    body = answer.json()
    code = body["data"]["code"]
    assert body["name"] == "".join(word.capitalize() for word in code.split("_"))
    assert body["data"]["message"].endswith(".")
    assert answer.headers["Cache-Control"] == "no-store"
    return answer.status_code, code, body["data"].get("field")
