"""What a client is told of a turn that a kill left unfinished."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from orchestrator.interrupted import WHY, conversation_of, endings, find_interrupted
from orchestrator.server import NotReady, Server, client
from tests.orchestrator.fake_opencode import FakeOpenCode, Manner

INFO = {"id": "msg_1", "role": "assistant", "sessionID": "ses_1", "time": {"created": 1000}}
TEXT = {"id": "prt_1", "type": "text", "text": "wor", "time": {"start": 1500}}
TOOL = {
    "id": "prt_2",
    "type": "tool",
    "tool": "bash",
    "callID": "call_1",
    "state": {"status": "running", "input": {"command": "make"}, "time": {"start": 2000}},
}
ERROR = {"name": "UnknownError", "data": {"message": WHY}}


def message(*parts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"info": {**INFO, **changes}, "parts": list(parts)}


def payloads(last: Any) -> list[dict[str, Any]]:
    return [told["payload"] for told in endings("ses_1", "/workspace", last)]


def test_a_killed_turn_is_ended_with_a_sentence_and_then_idle() -> None:
    told = payloads(message(TEXT))

    assert [payload["type"] for payload in told] == [
        "message.updated",
        "session.error",
        "session.status",
        "session.idle",
    ]
    ended = {**INFO, "time": {"created": 1000, "completed": 1500}, "error": ERROR}
    assert told[0]["properties"] == {"sessionID": "ses_1", "info": ended}
    assert told[1]["properties"] == {"sessionID": "ses_1", "error": ERROR}
    assert told[2]["properties"] == {"sessionID": "ses_1", "status": {"type": "idle"}}
    assert told[3]["properties"] == {"sessionID": "ses_1"}


def test_a_tool_that_was_running_is_ended_as_opencode_ends_one() -> None:
    told = payloads(message(TEXT, TOOL))[1]

    assert told["type"] == "message.part.updated"
    assert told["properties"]["part"] == {
        **TOOL,
        "state": {
            "status": "error",
            "input": {"command": "make"},
            "error": "Tool execution aborted",
            "metadata": {"interrupted": True},
            "time": {"start": 2000, "end": 2000},
        },
    }


def test_every_event_has_an_id_of_its_own_and_the_conversations_directory() -> None:
    told = endings("ses_1", "/workspace", message(TEXT, TOOL))

    ids = [each["payload"]["id"] for each in told]
    assert len(set(ids)) == len(ids)
    assert {each["directory"] for each in told} == {"/workspace"}
    assert {conversation_of(each) for each in told} == {"ses_1"}


@pytest.mark.parametrize(
    "last",
    [
        None,
        {},
        message(TEXT, time={"created": 1, "completed": 2}),
        message(role="user"),
        {"info": None, "parts": None},
    ],
)
def test_what_was_finished_or_never_begun_is_not_told(last: Any) -> None:
    assert endings("ses_1", "/workspace", last) == []


@pytest.mark.parametrize("parts", [None, 3, ["x"], [{"type": "tool", "state": 1}]])
def test_strange_parts_hide_no_ending(parts: Any) -> None:
    assert len(endings("ses_1", "/workspace", {"info": INFO, "parts": parts})) == 4


@pytest.fixture
async def fake() -> AsyncIterator[FakeOpenCode]:
    fake = FakeOpenCode("right")
    fake.address = await fake.listen()
    yield fake
    await fake.close()


async def test_only_the_own_directorys_conversations_are_looked_through(
    fake: FakeOpenCode,
) -> None:
    own = {"id": "ses_1", "directory": "/workspace"}
    fake.says["/experimental/session in /workspace"] = [own, {**own, "id": "ses_2"}]
    fake.says["/session/ses_2/message"] = [message(TEXT)]
    fake.says["/session/ses_3/message"] = [message(TEXT)]
    async with client() as asking:
        told = await find_interrupted(Server(asking, fake.address, "right"))

    assert {conversation_of(each) for each in told} == {"ses_2"}
    assert {each["directory"] for each in told} == {"/workspace"}
    assert not any("ses_3" in asked for asked in fake.asked)


async def test_what_was_known_to_run_elsewhere_is_looked_at_too(fake: FakeOpenCode) -> None:
    fake.says["/session/ses_3/message"] = [message(TEXT)]
    async with client() as asking:
        server = Server(asking, fake.address, "right")
        told = await find_interrupted(server, {"ses_3": "/elsewhere", "ses_4": "/elsewhere"})

    assert {conversation_of(each) for each in told} == {"ses_3"}
    assert {each["directory"] for each in told} == {"/elsewhere"}


async def test_a_server_that_is_none_cannot_tell(fake: FakeOpenCode) -> None:
    fake.manner = Manner.STRANGER
    async with client() as asking:
        with pytest.raises(NotReady):
            await find_interrupted(Server(asking, fake.address, "right"))
