"""A prompt through the gateway to the real OpenCode, whose model alone is scripted here."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway import chat
from gateway.api import exception_handlers
from gateway.conversations import Conversations
from gateway.credentials import Caller
from gateway.directory import basic
from gateway.errors import GatewayError
from gateway.metrics import Metrics
from gateway.parts import Parts
from gateway.roster import Session
from gateway.routing import Place, State, Upstream
from gateway.settings import Shared
from gateway.wire.upstream import Pool
from tests.support.opencode_server import PASSWORD, opencode_server
from tests.support.serving import serve

MINE, OTHERS = "1" * 32, "2" * 32
LOGIN = Caller("u1", "l1", MINE, "cookie")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


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
        self._app.state.parts = Parts(
            settings=cast(Any, FakeSettings(shared)),
            store=cast(Any, self.store),
            roster=cast(Any, None),
            cookies=cast(Any, None),
            accounts=cast(Any, None),
            directory=cast(Any, self.directory),
            conversations=Conversations(self.store),
            live=cast(Any, None),
            metrics=self.metrics,
            shared=_upstream(self.shared_url) if self.shared_url else None,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"caller": self.caller}
        await self._app(scope, receive, send)

    async def ask(self, prompt: str, conversation_id: str | None = None) -> httpx.Response:
        body = {"prompt": prompt, "conversation_id": conversation_id}
        return await self.client.post(f"/api/sessions/{MINE}/chat", json=body)

    @asynccontextmanager
    async def stream(self, prompt: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        accept = {"Accept": "text/event-stream"}
        path, body = f"/api/sessions/{MINE}/chat", {"prompt": prompt}
        async with self.client.stream("POST", path, json=body, headers=accept) as response:
            assert response.headers["content-type"] == "text/event-stream"
            yield _events(response)

    async def hear_all(self, prompt: str) -> list[tuple[str, Any]]:
        async with self.stream(prompt) as events:
            return [event async for event in events]


async def _events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, json.loads(line[6:])


def _upstream(url: str) -> Upstream:
    address = urlsplit(url)
    host, port = address.hostname or "", address.port or 0
    return Upstream("agent", host, port, basic("opencode", PASSWORD), Pool("agent", host, port))


def _ready(url: str) -> Place:
    return Place(State.READY, upstream=_upstream(url))


@asynccontextmanager
async def served(gateway: Gateway) -> AsyncIterator[Gateway]:
    async with (
        serve(gateway) as url,
        httpx.AsyncClient(base_url=url, timeout=30) as gateway.client,  # noqa: TID251 - as above
    ):
        yield gateway


@pytest.fixture(scope="module")
async def model_and_opencode(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[ScriptedModel, str]]:
    folder: Path = tmp_path_factory.mktemp("opencode")
    model = ScriptedModel()
    routes = [Route("/v1/chat/completions", model.complete, methods=["POST"])]
    async with (
        serve(Starlette(routes=routes)) as model_url,
        opencode_server(folder, model_url) as u,
    ):
        yield model, u


@pytest.fixture
def model(model_and_opencode: tuple[ScriptedModel, str]) -> ScriptedModel:
    model_and_opencode[0].heard.clear()
    model_and_opencode[0].go_on = anyio.Event()
    return model_and_opencode[0]


@pytest.fixture
def opencode_url(model_and_opencode: tuple[ScriptedModel, str]) -> str:
    return model_and_opencode[1]


@pytest.fixture
async def gateway(model: ScriptedModel, opencode_url: str) -> AsyncIterator[Gateway]:
    async with served(Gateway(FakeDirectory(_ready(opencode_url)))) as gateway:
        yield gateway


# Whole answers


@pytest.mark.opencode
async def test_a_prompt_is_answered_whole(gateway: Gateway) -> None:
    response = await gateway.ask("hello")

    answer = response.json()
    assert response.status_code == 200
    assert answer["session_id"] == MINE
    assert answer["conversation_id"].startswith("ses_")
    assert answer["message"]["id"].startswith("msg_")
    assert answer["message"]["text"] == "You said hello"
    assert answer["route"] == response.headers["x-opencode-gateway-route"] == "session"


@pytest.mark.opencode
async def test_a_conversation_goes_on_with_what_was_said(
    gateway: Gateway, model: ScriptedModel
) -> None:
    first = (await gateway.ask("one")).json()

    second = (await gateway.ask("two", first["conversation_id"])).json()

    assert second["conversation_id"] == first["conversation_id"]
    assert model.heard[-1] == ["one", "two"]


@pytest.mark.opencode
async def test_a_failing_model_is_502_with_its_own_words(gateway: Gateway) -> None:
    response = await gateway.ask("fail")

    assert response.status_code == 502
    assert response.json()["name"] == "ModelFailed"
    assert response.json()["data"]["message"] == "The turn failed: The key is not valid."


@pytest.mark.opencode
async def test_an_unknown_conversation_is_404(gateway: Gateway) -> None:
    response = await gateway.ask("hello", "ses_dfc16fc27ffeESVvIY7xuFzGR2")

    assert response.status_code == 404
    assert response.json()["data"]["code"] == "conversation_not_found"


# Streamed answers


@pytest.mark.opencode
async def test_text_is_told_while_the_model_still_writes(
    gateway: Gateway, model: ScriptedModel
) -> None:
    async with gateway.stream("wait") as events:
        first = await anext(events)
        model.go_on.set()
        rest = [event async for event in events]

    assert first == ("delta", {"text": "First"})
    assert rest[:-1] == [("delta", {"text": ", then\u2028last."})]
    assert rest[-1][0] == "done"
    assert rest[-1][1]["message"]["text"] == "First, then\u2028last."
    assert rest[-1][1]["route"] == "session"


@pytest.mark.opencode
async def test_what_is_said_before_a_tool_is_told_too(gateway: Gateway) -> None:
    *deltas, done = await gateway.hear_all("look around")

    assert [text for _, text in deltas] == [{"text": "Let me look."}, {"text": "I looked."}]
    assert done[1]["message"]["text"] == "I looked."


@pytest.mark.opencode
async def test_thoughts_are_not_told(gateway: Gateway) -> None:
    *deltas, _ = await gateway.hear_all("think")

    assert deltas == [("delta", {"text": "I thought."})]


@pytest.mark.opencode
async def test_a_failing_model_ends_the_stream_with_an_error(gateway: Gateway) -> None:
    (event,) = await gateway.hear_all("fail")

    assert event[0] == "error"
    assert event[1]["name"] == "ModelFailed"
    assert event[1]["data"]["message"] == "The turn failed: The key is not valid."


# Where a conversation lives


NO_CONTAINER = GatewayError("container_failed", "The image is missing.", retry_after_s=12)


@pytest.mark.opencode
async def test_a_new_conversation_goes_to_the_shared_service_and_stays_there(
    opencode_url: str, model: ScriptedModel
) -> None:
    async with served(Gateway(FakeDirectory(NO_CONTAINER), opencode_url)) as gateway:
        first = (await gateway.ask("one")).json()
        second = (await gateway.ask("two", first["conversation_id"])).json()

    assert first["route"] == "shared; reason=container_failed"
    assert second["route"] == "shared; reason=conversation"
    assert gateway.store.shared_conversations == [(first["conversation_id"], MINE)]
    assert model.heard[-1] == ["one", "two"]
    assert b'fallbacks_total{reason="container_failed"} 1.0' in gateway.metrics.render()
