"""A prompt through the gateway to the real OpenCode, whose model alone is scripted."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from gateway import turn
from gateway.credentials import Caller
from gateway.errors import GatewayError
from tests.support.chat import (
    LOGIN,
    MINE,
    OTHERS,
    FakeDirectory,
    Gateway,
    ScriptedModel,
    ready,
    served,
)
from tests.support.opencode_server import PASSWORD, opencode_server
from tests.support.serving import serve


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


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
    async with served(Gateway(FakeDirectory(ready(opencode_url)))) as gateway:
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
async def test_a_model_that_is_asked_again_in_vain_is_given_up(
    gateway: Gateway, opencode_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "RETRYING_WITHIN_S", 0.5)

    response = await gateway.ask("overload")

    assert response.status_code == 502
    assert response.json()["data"]["message"] == "The turn failed: Too many at once."
    auth = ("opencode", PASSWORD)
    busy = await gateway.client.get(f"{opencode_url}/session/status", auth=auth)
    assert busy.json() == {}


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


@pytest.mark.opencode
async def test_anothers_conversation_on_the_shared_service_is_not_reached(
    opencode_url: str, model: ScriptedModel
) -> None:
    async with served(Gateway(FakeDirectory(NO_CONTAINER), opencode_url)) as gateway:
        gateway.caller = Caller("u2", "l2", OTHERS, "cookie")
        theirs = (await gateway.ask("secret", session_id=OTHERS)).json()["conversation_id"]
        gateway.caller = LOGIN
        response = await gateway.ask("and?", theirs)

    assert response.status_code == 503
    assert [said[-1] for said in model.heard] == ["secret"]


async def test_a_conversation_of_a_missing_container_waits_for_it() -> None:
    async with served(Gateway(FakeDirectory(NO_CONTAINER), "http://127.0.0.1:9")) as gateway:
        response = await gateway.ask("hello", "ses_1")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "12"
    assert response.json()["data"]["code"] == "conversation_unavailable"
    assert response.json()["data"]["reason"] == "container_failed"


async def test_without_a_shared_service_the_containers_failure_is_the_answer() -> None:
    async with served(Gateway(FakeDirectory(NO_CONTAINER))) as gateway:
        response = await gateway.ask("hello")

    assert response.status_code == 502
    assert response.json()["data"]["message"] == "The image is missing."


async def test_a_session_that_is_being_deleted_is_no_reason_to_go_elsewhere() -> None:
    removing = GatewayError("session_removing", "It is being deleted.")
    async with served(Gateway(FakeDirectory(removing), "http://127.0.0.1:9")) as gateway:
        response = await gateway.ask("hello")

    assert response.status_code == 409


@pytest.mark.opencode
async def test_a_container_that_died_unnoticed_is_looked_at_and_started_again(
    opencode_url: str, model: ScriptedModel
) -> None:
    nobody = ready("http://127.0.0.1:9")
    directory = FakeDirectory(nobody, ready(opencode_url))
    async with served(Gateway(directory)) as gateway:
        response = await gateway.ask("hello")

    assert response.json()["route"] == "session"
    assert directory.verified == [MINE]


# What may be asked, and by whom


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b'{"prompt": 7}', 422, "invalid_request"),
        (b'{"prompt": " "}', 422, "invalid_request"),
        (b'{"prompt": "\\ud800"}', 422, "invalid_request"),
        (b'{"prompt": "a", "model": "b"}', 422, "invalid_request"),
        (b'{"prompt": "a", "conversation_id": 7}', 422, "invalid_request"),
        (b'{"prompt": "a", "conversation_id": "../x"}', 404, "conversation_not_found"),
        (b'{"prompt": "' + b"a" * (1024 * 1024 + 1) + b'"}', 413, "body_too_large"),
        (b" " * (8 * 1024 * 1024 + 1), 413, "body_too_large"),
    ],
)
async def test_a_bad_question_is_refused_before_anything_starts(
    body: bytes, status: int, code: str
) -> None:
    async with served(Gateway(FakeDirectory(NO_CONTAINER))) as gateway:
        response = await gateway.client.post(f"/api/sessions/{MINE}/chat", content=body)

    assert (response.status_code, response.json()["data"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("asking", "session_id", "status", "code"),
    [
        (None, MINE, 401, "authentication_required"),
        (LOGIN, OTHERS, 404, "session_not_found"),
        (LOGIN, "unknown", 404, "session_not_found"),
        (Caller("u1", None, MINE, "bearer"), OTHERS, 404, "session_not_found"),
    ],
)
async def test_nobody_talks_in_a_session_of_another(
    asking: Caller | None, session_id: str, status: int, code: str
) -> None:
    async with served(Gateway(FakeDirectory(NO_CONTAINER), caller=asking)) as gateway:
        response = await gateway.ask("hello", session_id=session_id)

    assert (response.status_code, response.json()["data"]["code"]) == (status, code)


async def test_an_access_token_talks_in_its_own_session() -> None:
    token = Caller("u1", None, MINE, "bearer")
    async with served(Gateway(FakeDirectory(NO_CONTAINER), caller=token)) as gateway:
        response = await gateway.ask("hello")

    assert response.json()["data"]["code"] == "container_failed"
