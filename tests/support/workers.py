"""Gateways of several processes, on a real store and a real orchestrator whose engine is in memory.

People, their sessions and logins are written to the store, and no gateway is told. Which worker
serves a connection is read from the kernel's tables: the gateway itself tells nobody.
"""

import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
from anyio import to_thread
from anyio.abc import Process
from starlette.types import Receive, Scope, Send

import orchestrator.app
import orchestrator.settings
from gateway import administration
from gateway.accounts import Accounts, new_id
from gateway.credentials import Cookies
from gateway.roster import Login, Session, User
from gateway.settings import Settings, load_settings
from gateway.store import Store
from migrations import upgrade
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.fake_opencode import FakeOpenCode
from tests.orchestrator.serving import serving
from tests.support.deployment import CLEAN_ENVIRONMENT, PROGRAM, running
from tests.support.services import free_port
from tests.support.waiting import until
from tests.support.websocket import SWITCH
from tests.support.wire import DEADLINE_S, Recorded, client

PASSWORD = "a good password"
_SECRET = "a-service-secret-of-the-tests"
_SERVES_WITHIN_S = 60
_WISH = {"name": "a", "provider": "anthropic", "token": "sk-canary-token"}


class Talkative(FakeOpenCode):
    """Also streams events without an end, and takes terminals."""

    def answer(self, head: str, connection: Any) -> None:
        path = head.split(" ")[1].partition("?")[0]
        if path == "/event":
            connection.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
            connection.write(b"data: 1\n\n")
        elif path.endswith("/connect"):
            connection.write(SWITCH)
        else:
            super().answer(head, connection)


@dataclass(frozen=True, slots=True)
class Person:
    user: User
    session: Session
    token: str
    login: Login
    cookie: str

    def tries(self, password: str) -> bytes:
        """The body of an attempt to log in."""
        return json.dumps({"username": self.user.username, "password": password}).encode()


@dataclass
class Asking:
    """One connection to a gateway, kept for any number of requests."""

    reader: Recorded
    writer: Any
    gateway: "Gateway"
    cookie: str
    closes: bool = False
    """Whether the gateway has said that it answers nothing more here."""

    async def ask(
        self, path: str, *, method: str = "GET", cookie: str | None = None, body: bytes = b""
    ) -> tuple[int, bytes]:
        self.send(path, method=method, cookie=cookie, body=body)
        return await self.answer()

    def send(
        self, path: str, *, method: str = "GET", cookie: str | None = None, body: bytes = b"",
        more: str = "",
    ) -> None:  # fmt: skip
        proof = self.cookie if cookie is None else cookie
        lines = f"{method} {path} HTTP/1.1\r\nHost: gw.example\r\n{more}"
        lines += f"Cookie: {proof}\r\n" if proof else ""
        if body:
            lines += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self.writer.write(lines.encode() + b"\r\n" + body)

    async def answer(self, within_s: float = DEADLINE_S) -> tuple[int, bytes]:
        with anyio.fail_after(within_s):
            head = (await self.reader._reader.readuntil(b"\r\n\r\n")).lower()
        self.closes = b"\r\nconnection: close\r\n" in head
        status = int(head.split(b" ")[1])
        size = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return status, await self.reader.exactly(int(size or 0))

    async def new_cookie(self) -> str:
        """Return the cookie that the answer sets; its body is not read."""
        head = await self.reader.head()
        return head.partition(b"set-cookie: ")[2].partition(b";")[0].decode()

    def is_accepted(self) -> bool:
        return self._inode() != "0"

    async def stream(self) -> None:
        """Begin to hear the container's events."""
        self.send("/event")
        await self.reader.until(b"data: 1\n\n")

    async def stream_ends(self, within_s: float) -> None:
        """Return once no more of it can come: by its last chunk, or with the connection."""
        with anyio.fail_after(within_s), suppress(EOFError, ConnectionError):
            await self.reader.until(b"0\r\n\r\n")

    def worker(self) -> int:
        """The process that serves this connection."""
        return _owner(self._inode(), self.gateway.workers())

    def _inode(self) -> str:
        return _inode(self.gateway.port, self.writer.get_extra_info("sockname")[1])


@dataclass
class Gateway:
    """One `opencode-gateway gateway`, on the parts that it shares with others of its database."""

    port: int
    process: Process
    log: Path
    shared: "Shared"
    count: int

    def workers(self) -> set[int]:
        """The processes that serve."""
        if self.count == 1:
            return {self.process.pid}
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return {int(pid) for each in children for pid in each.read_text().split()}

    @asynccontextmanager
    async def asking(self, cookie: str = "") -> AsyncIterator[Asking]:
        async with client(self.port) as (reader, writer):
            yield Asking(reader, writer, self, cookie)

    async def asking_each(self, stack: AsyncExitStack, cookie: str = "") -> list[Asking]:
        """Return a connection to each worker; which one it is, the kernel chooses."""
        found: dict[int, Asking] = {}
        with anyio.fail_after(_SERVES_WITHIN_S):
            while found.keys() != self.workers():
                asking = await stack.enter_async_context(self.asking(cookie))
                assert (await asking.ask("/gateway/health"))[0] == 200
                found[asking.worker()] = asking
        return list(found.values())

    async def is_ready(self) -> bool:
        """Whether it serves and each of its workers follows the orchestrator."""
        try:
            async with self.asking() as asking:
                status, told = await asking.ask("/gateway/metrics")
        except (OSError, EOFError, TimeoutError):
            return False
        serve = self.count == 1 or "workers serve" in self.said()
        return serve and status == 200 and b"orchestrator_connected 1.0" in told

    def said(self) -> str:
        return self.log.read_text("utf-8")

    async def counted(self, name: str) -> float:
        async with self.asking() as asking:
            _, told = await asking.ask("/gateway/metrics")
        lines = [line for line in told.decode().splitlines() if line.startswith(name)]
        return sum(float(line.rpartition(" ")[2]) for line in lines)


@dataclass
class Shared:
    """What gateways of one database have in common; `asked` is what the orchestrator was."""

    settings: Settings
    environ: dict[str, str]
    folder: Path
    store: Store
    engine: FakeEngine
    asked: list[str]

    async def person(self, username: str) -> Person:
        """Somebody new, signed in, with an agent and a session."""
        user = await administration.create_user(self.store, username, PASSWORD)
        accounts = Accounts(self.settings.token_keys)
        await administration.create_agent(self.store, accounts, (), user, _WISH)
        session, token = await administration.create_session(self.store, user)
        login = Login(new_id(), user.id, time.time() + 600)
        await self.store.add_login(login)
        cookies = Cookies(list(self.settings.cookie_keys), secure=False)
        cookie = cookies.set_header(login.id, session.id).partition(";")[0]
        return Person(user, session, token, login, cookie)

    async def meets(self, asking: Sequence[Asking], path: str) -> None:
        """Ask each for the same while the engine holds the start that they all wait for."""
        self.asked.clear()
        self.engine.hold("create")
        for each in asking:
            each.send(path)
        await self.engine.reached("create")
        await until(partial(self._starts_asked, len(asking)), "all have asked for a start")
        self.engine.release("create")
        assert {(await each.answer())[0] for each in asking} == {200}

    async def _starts_asked(self, times: int) -> bool:
        return self.asked.count("POST /agent-controller/sessions/agent") == times

    @asynccontextmanager
    async def gateway(self, workers: int = 2) -> AsyncIterator[Gateway]:
        port = free_port()
        environ = {**self.environ, "PORT": str(port), "WORKERS": str(workers)}
        log = self.folder / f"{port}.log"
        async with running((str(PROGRAM), "gateway"), environ, log) as process:
            found = Gateway(port, process, log, self, workers)
            try:
                await until(found.is_ready, f"all is connected {log.read_text()}", _SERVES_WITHIN_S)
                yield found
            finally:
                print(found.said())


@asynccontextmanager
async def shared(folder: Path, database_url: str = "") -> AsyncIterator[Shared]:
    async with AsyncExitStack() as stack:
        engine = FakeEngine()
        engine.opencode = Talkative
        stack.push_async_callback(engine.aclose)
        asked: list[str] = []
        url = await stack.enter_async_context(_orchestrator(folder, engine, asked))
        environ = {
            **CLEAN_ENVIRONMENT,
            "STATE": str(folder / "gateway"),
            "PUBLIC_URL": "http://gw.example",
            "ORCHESTRATOR_URL": url,
            "SERVICE_SECRET": _SECRET,
            "DATABASE_URL": database_url,
        }
        settings = await to_thread.run_sync(load_settings, environ)
        await upgrade(settings.database_url, "gateway")
        store = Store(settings.database_url)
        stack.push_async_callback(store.close)
        yield Shared(settings, environ, folder, store, engine, asked)


@asynccontextmanager
async def _orchestrator(folder: Path, engine: FakeEngine, asked: list[str]) -> AsyncIterator[str]:
    environ = {"STATE": str(folder / "orchestrator"), "SERVICE_SECRET": _SECRET}
    load = partial(orchestrator.settings.load_settings, environ)
    settings = await to_thread.run_sync(load)
    app = orchestrator.app.create_app(settings, engine)

    async def noting(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            asked.append(f"{scope['method']} {scope['path']}")
        await app(scope, receive, send)

    async with serving(cast(Any, noting)) as url:
        yield url


def living(pids: set[int]) -> set[int]:
    """Which of these processes there still are."""
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def _inode(ours: int, theirs: int) -> str:
    """The kernel's number for the gateway's end of the connection between two local ports."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        _, here, there, _, _, _, _, _, _, inode, *_ = line.split()
        if int(here.partition(":")[2], 16) == ours and int(there.partition(":")[2], 16) == theirs:
            return inode
    raise AssertionError("there is no such connection")


def _owner(inode: str, workers: set[int]) -> int:
    for pid in workers:
        for file in Path(f"/proc/{pid}/fd").iterdir():
            try:
                if os.readlink(file) == f"socket:[{inode}]":
                    return pid
            except OSError:
                continue  # it was closed while we looked
    raise AssertionError("nobody has accepted it")
