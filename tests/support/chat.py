"""The chat alone, on a real socket, with what it asks replaced piece by piece.

The store and the directory are small honest fakes; OpenCode is the real one with a scripted model,
or, for what a real one does not do when asked to, a stubborn imitation.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway import chat
from gateway.api import exception_handlers
from gateway.changes import Changes
from gateway.conversations import Conversations
from gateway.credentials import Caller
from gateway.errors import GatewayError
from gateway.metrics import Metrics
from gateway.parts import Parts
from gateway.places import basic
from gateway.roster import Session
from gateway.routing import Place, State, Upstream
from gateway.settings import Shared
from gateway.wire.upstream import Pool
from tests.support.opencode_server import PASSWORD
from tests.support.serving import serve

MINE, OTHERS = "1" * 32, "2" * 32
LOGIN = Caller("u1", "l1", MINE, "cookie")


@dataclass
class ScriptedModel:
    """What the model says depends on the prompt; it goes on past "wait" when told to."""

    go_on: anyio.Event = field(default_factory=anyio.Event)
    heard: list[list[str]] = field(default_factory=list)

    async def complete(self, request: Request) -> Response:
        body = await request.json()
        said = [_text(m["content"]) for m in body["messages"] if m["role"] == "user"]
        if "tools" not in body:
            return self._say([{"content": "A title"}])
        self.heard.append(said)
        after_tool = body["messages"][-1]["role"] == "tool"
        match said[-1]:
            case "overload":
                return JSONResponse({"error": {"message": "Too many at once."}}, 503)
            case "fail":
                return JSONResponse({"error": {"message": "The key is not valid."}}, 401)
            case "look around" if not after_tool:
                return self._say([{"content": "Let me look."}, _bash("echo found")])
            case "look around":
                return self._say([{"content": "I looked."}])
            case "think":
                return self._say([{"reasoning_content": "hm"}, {"content": "I thought."}])
            case "wait":
                return self._say([{"content": "First"}, None, {"content": ", then\u2028last."}])
        return self._say([{"content": "You said "}, {"content": said[-1]}])

    def _say(self, deltas: list[dict[str, Any] | None]) -> Response:
        async def chunks() -> AsyncIterator[str]:
            for delta in deltas:
                if delta is None:
                    await self.go_on.wait()
                else:
                    yield _chunk(delta, None)
            called = any(delta and "tool_calls" in delta for delta in deltas)
            yield _chunk({}, "tool_calls" if called else "stop")
            yield "data: [DONE]\n\n"

        return StreamingResponse(chunks(), media_type="text/event-stream")


def _text(content: str | list[dict[str, str]]) -> str:
    return content if isinstance(content, str) else "".join(p.get("text", "") for p in content)


def _bash(command: str) -> dict[str, Any]:
    arguments = json.dumps({"command": command, "description": "Look"})
    function = {"name": "bash", "arguments": arguments}
    return {"tool_calls": [{"index": 0, "id": "t1", "type": "function", "function": function}]}


def _chunk(delta: dict[str, Any], finish: str | None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": [choice]}
    return f"data: {json.dumps(chunk)}\n\n"


@dataclass
class StubbornOpenCode:
    """Answers as OpenCode does, with `events` in a stream that breaks off after them.

    The turn is held until `go_on`; without events, until the client leaves. While `retrying`, it
    goes on telling so until it is aborted.
    """

    status: int = 200
    events: list[dict[str, Any]] = field(default_factory=list)
    go_on: anyio.Event = field(default_factory=anyio.Event)
    retrying: dict[str, Any] | None = None
    aborted: anyio.Event = field(default_factory=anyio.Event)
    prompted: anyio.Event = field(default_factory=anyio.Event)
    left: list[str] = field(default_factory=list)
    all_left: anyio.Event = field(default_factory=anyio.Event)

    def tell(self, kind: str, conversation: str = "ses_1", **properties: Any) -> None:
        properties["sessionID"] = conversation
        self.events.append({"type": kind, "properties": properties})

    def app(self) -> Starlette:
        message = Route("/session/ses_1/message", self._prompt, methods=["POST"])
        abort = Route("/session/ses_1/abort", self._abort, methods=["POST"])
        session = Route("/session", self._create, methods=["POST"])
        return Starlette(routes=[session, message, abort, Route("/event", self._tell)])

    async def _create(self, _request: Request) -> Response:
        return JSONResponse({"id": "ses_1", "directory": "/workspace"})

    async def _tell(self, request: Request) -> Response:
        async def stream() -> AsyncIterator[str]:
            for event in [{"type": "server.connected"}, *self.events]:
                yield f"data: {json.dumps(event)}\n\n"
            while self.retrying and not self.aborted.is_set():
                yield f"data: {json.dumps(self.retrying)}\n\n"
                with anyio.move_on_after(0.01):
                    await self.aborted.wait()
            if not self.events:
                await self._gone(request, "events")

        return StreamingResponse(stream(), media_type="text/event-stream")

    async def _prompt(self, request: Request) -> Response:
        await request.body()
        self.prompted.set()
        if not self.events:
            await self._gone(request, "prompt")
        await self.go_on.wait()
        message = {"info": {"id": "msg_2"}, "parts": [{"type": "text", "text": "All."}]}
        return JSONResponse(message if self.status == 200 else {}, self.status)

    async def _abort(self, _request: Request) -> Response:
        self.aborted.set()
        self.go_on.set()
        return JSONResponse(True)

    async def _gone(self, request: Request, what: str) -> None:
        try:
            while (await request.receive())["type"] != "http.disconnect":
                continue
        finally:
            self.left.append(what)
            if len(self.left) == 2:
                self.all_left.set()


class FakeDirectory:
    """Gives the places that the test put in, one after the other; the last one stays."""

    def __init__(self, *places: Place | GatewayError) -> None:
        self._places = list(places)
        self.verified: list[str] = []

    async def ensure(self, session_id: str) -> Place:
        place = self._places.pop(0) if len(self._places) > 1 else self._places[0]
        if isinstance(place, GatewayError):
            raise place
        return place

    async def verify(self, session_id: str) -> Place:
        self.verified.append(session_id)
        return Place(State.STOPPED)


class FakeStore:
    def __init__(self) -> None:
        self.shared_conversations: list[tuple[str, str]] = []

    async def session(self, session_id: str) -> Session | None:
        owner = {MINE: "u1", OTHERS: "u2"}.get(session_id)
        moment = datetime.now(tz=UTC)
        return Session(session_id, owner, "a1", "", "hash", moment) if owner else None

    async def add_shared_conversation(
        self, conversation_id: str, session_id: str, created_at: datetime
    ) -> None:
        self.shared_conversations.append((conversation_id, session_id))


@dataclass(frozen=True)
class FakeSettings:
    shared: Shared | None


@dataclass
class Gateway:
    """The chat alone, on a real socket, for whoever `caller` is."""

    directory: FakeDirectory
    shared_url: str | None = None
    caller: Caller | None = LOGIN
    store: FakeStore = field(default_factory=FakeStore)
    metrics: Metrics = field(default_factory=Metrics)
    client: httpx.AsyncClient = field(init=False)  # noqa: TID251 - the test is the client

    def __post_init__(self) -> None:
        shared = Shared(self.shared_url, "opencode", PASSWORD) if self.shared_url else None
        self._app = Starlette(routes=chat.routes, exception_handlers=exception_handlers)
        conversations, unasked = Conversations(self.store), cast(Any, None)
        self._app.state.parts = Parts(
            settings=cast(Any, FakeSettings(shared)),
            store=cast(Any, self.store),
            roster=unasked,
            changes=Changes(unasked, conversations, unasked, unasked),
            removals=unasked,
            cookies=unasked,
            accounts=unasked,
            directory=cast(Any, self.directory),
            conversations=conversations,
            live=unasked,
            metrics=self.metrics,
            shared=_upstream(self.shared_url) if self.shared_url else None,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"caller": self.caller}
        await self._app(scope, receive, send)

    async def ask(
        self, prompt: str, conversation_id: str | None = None, *, session_id: str = MINE
    ) -> httpx.Response:
        body = {"prompt": prompt, "conversation_id": conversation_id}
        return await self.client.post(f"/api/sessions/{session_id}/chat", json=body)

    @asynccontextmanager
    async def listen(self, prompt: str) -> AsyncIterator[AsyncIterator[str]]:
        accept = {"Accept": "text/event-stream"}
        path, body = f"/api/sessions/{MINE}/chat", {"prompt": prompt}
        async with self.client.stream("POST", path, json=body, headers=accept) as response:
            assert response.headers["content-type"] == "text/event-stream"
            yield response.aiter_lines()

    @asynccontextmanager
    async def stream(self, prompt: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        async with self.listen(prompt) as lines:
            yield _events(lines)

    async def hear_all(self, prompt: str) -> list[tuple[str, Any]]:
        async with self.stream(prompt) as events:
            return [event async for event in events]


async def _events(lines: AsyncIterator[str]) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in lines:
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


def _upstream(url: str) -> Upstream:
    address = urlsplit(url)
    host, port = address.hostname or "", address.port or 0
    return Upstream("agent", host, port, basic("opencode", PASSWORD), Pool("agent", host, port))


def ready(url: str) -> Place:
    return Place(State.READY, upstream=_upstream(url))


@asynccontextmanager
async def served(gateway: Gateway) -> AsyncIterator[Gateway]:
    async with (
        serve(gateway) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as gateway.client,  # noqa: TID251 - as above
    ):
        yield gateway
