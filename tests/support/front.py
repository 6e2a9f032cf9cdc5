"""A whole gateway on real sockets whose orchestrator and OpenCode servers are scripted.

One user `u` with one agent and one session; the test says what the orchestrator answers and what
the container and the shared service send. Nothing of the gateway itself is replaced.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway import administration, logins
from gateway.app import create_app, serve_config
from gateway.parts import Parts
from gateway.settings import load_settings
from migrations import upgrade
from tests.support.wire import DEADLINE_S, Recorded, client

_SECRET = "a-service-secret-of-the-tests"


class ScriptedOrchestrator:
    """Answers an ensure with `ready_at` (a port), or a failure while that is None."""

    def __init__(self) -> None:
        self.ready_at: int | None = None
        self.retry_after_s = 60.0
        self.refusal = ""
        self.ensures = 0
        self.reports: list[list[str]] = []
        self.takes_reports = True
        self.refused_reports = 0
        self.verifies = 0
        self.asked = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._changes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._frozen = False
        self._generation = 0
        self._session_id = ""

    def app(self) -> Starlette:
        root = "/agent-controller"
        return Starlette(
            routes=[
                Route(f"{root}/sessions/agent", self._ensure, methods=["POST"]),
                Route(f"{root}/sessions/{{id}}/verify", self._verify, methods=["POST"]),
                Route(f"{root}/sessions/{{id}}", self._remove, methods=["DELETE"]),
                Route(f"{root}/activity", self._activity, methods=["POST"]),
                Route(f"{root}/events", self._events),
            ]
        )

    def view(self, state: str, port: int | None = None, **more: Any) -> dict[str, Any]:
        address = {"host": "127.0.0.1", "port": port} if port else None
        credential = {"username": "opencode", "password": "inner"} if port else None
        return {
            "session_id": self._session_id,
            "container": f"agent_{self._session_id}",
            "generation": self._generation,
            "state": state,
            "why": "As the test says.",
            "since": datetime.now(tz=UTC).isoformat(),
            "address": address,
            "credential": credential,
            **more,
        }

    def freeze(self) -> None:
        """Tell that what `ready_at` says is frozen now; the next ensure wakes it."""
        self._frozen = True
        self.tell(self.view("frozen", self.ready_at, version="1.18.33"))

    def tell(self, view: dict[str, Any]) -> None:
        self._changes.put_nowait(view)

    async def _ensure(self, request: Request) -> Response:
        self.ensures += 1
        self.asked.set()
        self._session_id = (await request.json())["session_id"]
        await self.may_answer.wait()
        if self.refusal:
            return _refused(self.refusal, 409, message="Mend this.")
        if self.ready_at is None:
            wait: dict[str, Any] = {"retry_after_s": self.retry_after_s}
            self.tell(self.view("failed", **wait))
            return _refused("container_failed", 502, message="Broken.", **wait)
        self._generation += not self._frozen
        self._frozen = False
        return JSONResponse(self.view("ready", self.ready_at))

    async def _verify(self, _request: Request) -> Response:
        self.verifies += 1
        return JSONResponse(self.view("stopped"))

    async def _remove(self, _request: Request) -> Response:
        return Response(status_code=204)

    async def _activity(self, request: Request) -> Response:
        if not self.takes_reports:
            self.refused_reports += 1
            return _refused("standby", 503, message="Not me.")
        self.reports.append((await request.json())["sessions"])
        return Response(status_code=204)

    async def _events(self, _request: Request) -> Response:
        async def stream() -> AsyncIterator[str]:
            yield 'event: snapshot\ndata: {"sessions": []}\n\n'
            while True:
                yield f"event: session\ndata: {json.dumps(await self._changes.get())}\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream")


def _refused(code: str, status: int, **data: Any) -> Response:
    return JSONResponse({"name": "Refused", "data": {"code": code, **data}}, status)


class RawOpenCode:
    """Answers each request with `answer`, keeps every head, and can die before answering.

    Until it `wakes` it accepts connections and says nothing, as a port proxy does.
    """

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heads: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.looks = 0
        self.dies = False
        self.wakes = asyncio.Event()
        self.wakes.set()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self._server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    def hang_up(self) -> None:
        """Close what is open: the connections that a gateway keeps for later."""
        for writer in self._writers:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self._writers.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if b"\r\nUser-Agent: python-httpx" in head:
                    self.looks += 1  # not a relayed request
                else:
                    self.heads.append(head)
                await self.wakes.wait()
                if self.dies:
                    break
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


@dataclass
class Gateway:
    port: int
    parts: Parts
    orchestrator: ScriptedOrchestrator
    container: RawOpenCode
    shared: RawOpenCode
    session_id: str
    token: str
    cookie: str
    bare_cookie: str

    async def ask(
        self, path: str, *, method: str = "GET", who: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Ask with the session's cookie, or with `who` as a whole header line ('' for nobody)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        proof = f"Cookie: {self.cookie}\r\n" if who is None else who
        request = f"{method} {path} HTTP/1.1\r\nHost: gw.example\r\n{proof}{lines}"
        async with client(self.port) as (reader, writer):
            writer.write(request.encode() + b"Connection: close\r\n\r\n")
            return parsed(await reader.head(), await reader.rest())

    async def open(self, path: str, stack: AsyncExitStack) -> Recorded:
        reader, writer = await stack.enter_async_context(client(self.port))
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: gw.example\r\nCookie: {self.cookie}\r\n\r\n".encode()
        )
        return reader


def parsed(head: bytes, body: bytes) -> tuple[int, dict[str, str], bytes]:
    first, *lines = head.decode().split("\r\n")[:-2]
    headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines)}
    return int(first.split()[1]), headers, body


@asynccontextmanager
async def gateway(
    state: Path, *, shared: bool = True, **settings_too: str
) -> AsyncIterator[Gateway]:
    async with AsyncExitStack() as stack:
        orchestrator = ScriptedOrchestrator()
        container, common = RawOpenCode(ok(b'"container"')), RawOpenCode(ok(b'"shared"'))
        for server in (container, common):
            await server.start()
            stack.callback(server.stop)
        port = await stack.enter_async_context(_served(uvicorn_config(orchestrator.app())))
        environ = {
            "STATE": str(state),
            "PORT": "0",
            "PUBLIC_URL": "http://gw.example",
            "ORCHESTRATOR_URL": f"http://127.0.0.1:{port}",
            "SERVICE_SECRET": _SECRET,
            "START_TIMEOUT_S": "5",
            **settings_too,
        }
        if shared:
            environ |= {"SHARED_URL": f"http://127.0.0.1:{common.port}", "SHARED_PASSWORD": "all"}
        settings = load_settings(environ)
        await upgrade(settings.database_url, "gateway")
        app = create_app(settings)
        gateway_port = await stack.enter_async_context(_served(serve_config(settings, app)))
        parts: Parts = app.state.parts
        yield await _furnish(parts, gateway_port, orchestrator, container, common)


async def _furnish(
    parts: Parts, port: int, orchestrator: ScriptedOrchestrator, container: RawOpenCode,
    shared: RawOpenCode,
) -> Gateway:  # fmt: skip
    user = await administration.create_user(parts.store, "u", "a good password")
    wish = {"name": "a", "provider": "anthropic", "token": "sk-canary-token"}
    images = parts.settings.agent_images
    await administration.create_agent(parts.store, parts.accounts, images, user, wish)
    session, token = await administration.create_session(parts.store, user)
    login = await logins.log_in(parts, "u", "a good password", "127.0.0.1")
    orchestrator.ready_at = container.port
    cookie = parts.cookies.set_header(login.id, session.id).partition(";")[0]
    bare = parts.cookies.set_header(login.id, None).partition(";")[0]
    return Gateway(port, parts, orchestrator, container, shared, session.id, token, cookie, bare)


def uvicorn_config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip


@asynccontextmanager
async def _served(config: uvicorn.Config) -> AsyncIterator[int]:
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    server.config.timeout_graceful_shutdown = 1
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        async with asyncio.timeout(DEADLINE_S):
            await server.shutdown()
