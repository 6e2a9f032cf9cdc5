"""What a turn does when OpenCode or the client does not do its part."""

from collections.abc import AsyncIterator

import anyio
import pytest

from gateway import turn
from tests.support.chat import FakeDirectory, Gateway, StubbornOpenCode, ready, served
from tests.support.serving import serve


@pytest.fixture
def opencode() -> StubbornOpenCode:
    return StubbornOpenCode()


@pytest.fixture
async def gateway(opencode: StubbornOpenCode) -> AsyncIterator[Gateway]:
    async with serve(opencode.app()) as url, served(Gateway(FakeDirectory(ready(url)))) as gateway:
        yield gateway


async def test_a_client_that_leaves_ends_both_upstream_streams(
    gateway: Gateway, opencode: StubbornOpenCode
) -> None:
    async with gateway.stream("hello"):
        await opencode.prompted.wait()

    with anyio.fail_after(5):
        await opencode.all_left.wait()


async def test_a_client_that_waits_for_the_whole_and_leaves_ends_them_too(
    gateway: Gateway, opencode: StubbornOpenCode
) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(gateway.ask, "hello")
        await opencode.prompted.wait()
        tasks.cancel_scope.cancel()

    with anyio.fail_after(5):
        await opencode.all_left.wait()


async def test_what_broken_events_did_not_tell_comes_at_the_end(
    gateway: Gateway, opencode: StubbornOpenCode
) -> None:
    opencode.tell("message.part.updated", part={"type": "text", "id": "prt_1"})
    opencode.tell("message.part.delta", messageID="msg_2", partID="prt_1", delta="Al")

    async with gateway.stream("hello") as events:
        first = await anext(events)
        opencode.go_on.set()
        rest = [event async for event in events]

    assert first == ("delta", {"text": "Al"})
    assert rest[0] == ("delta", {"text": "l."})
    assert [name for name, _ in rest] == ["delta", "done"]


async def test_without_any_event_the_answer_is_told_in_one_piece(
    gateway: Gateway, opencode: StubbornOpenCode
) -> None:
    opencode.tell("session.status", status={"type": "busy"})
    opencode.go_on.set()

    told = await gateway.hear_all("hello")

    assert told[0] == ("delta", {"text": "All."})
    assert [name for name, _ in told] == ["delta", "done"]


async def test_the_text_of_another_conversation_is_not_told(
    gateway: Gateway, opencode: StubbornOpenCode
) -> None:
    delta = {"messageID": "msg_2", "partID": "prt_1", "delta": "Secret"}
    opencode.tell("message.part.updated", "ses_2", part={"type": "text", "id": "prt_1"})
    opencode.tell("message.part.delta", "ses_2", **delta)
    opencode.tell("message.part.updated", part={"type": "text", "id": "prt_2"})
    opencode.tell("message.part.delta", **{**delta, "partID": "prt_2", "delta": "A"})

    async with gateway.stream("hello") as events:
        first = await anext(events)

    assert first == ("delta", {"text": "A"})


async def test_the_reason_in_the_events_is_preferred_to_a_bare_500(
    gateway: Gateway, opencode: StubbornOpenCode
) -> None:
    reason = {"name": "UnknownError", "data": {"message": "Model not found: a/b."}}
    opencode.tell("session.error", error=reason)
    opencode.status = 500
    opencode.go_on.set()

    response = await gateway.ask("hello")

    assert response.status_code == 502
    assert response.json()["data"]["message"] == "The turn failed: Model not found: a/b."


async def test_a_heartbeat_goes_on_to_the_client(
    gateway: Gateway, opencode: StubbornOpenCode
) -> None:
    opencode.events.append({"type": "server.heartbeat", "properties": {}})

    async with gateway.listen("hello") as lines:
        first = await anext(lines)

    assert first == ": alive"


RETRY = {"type": "retry", "attempt": 1, "message": "Cannot connect to API.", "next": 0}


@pytest.fixture
def retrying(opencode: StubbornOpenCode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "RETRYING_WITHIN_S", 0.5)
    opencode.tell("session.status", status={"type": "busy"})
    opencode.tell("session.status", status=RETRY)


@pytest.mark.usefixtures("retrying")
async def test_a_turn_that_only_tries_again_is_ended_with_opencodes_reason(
    gateway: Gateway, opencode: StubbornOpenCode
) -> None:
    opencode.retrying = opencode.events[-1]

    with anyio.fail_after(5):
        response = await gateway.ask("hello")

    assert response.status_code == 502
    assert response.json()["name"] == "ModelFailed"
    assert response.json()["data"]["message"] == "The turn failed: Cannot connect to API."
    assert opencode.aborted.is_set()


@pytest.mark.usefixtures("retrying")
async def test_its_stream_ends_with_an_error(gateway: Gateway, opencode: StubbornOpenCode) -> None:
    with anyio.fail_after(5):
        ((name, error),) = await gateway.hear_all("hello")

    assert (name, error["name"]) == ("error", "ModelFailed")
    assert error["data"]["message"] == "The turn failed: Cannot connect to API."
    assert opencode.aborted.is_set()


@pytest.mark.usefixtures("retrying")
async def test_a_turn_that_goes_on_after_trying_again_has_all_the_time_it_needs(
    gateway: Gateway, opencode: StubbornOpenCode
) -> None:
    opencode.tell("message.part.updated", part={"type": "text", "id": "prt_1"})
    opencode.tell("message.part.delta", messageID="msg_2", partID="prt_1", delta="Al")

    async with gateway.stream("hello") as events:
        first = await anext(events)
        with anyio.move_on_after(2 * turn.RETRYING_WITHIN_S):
            await opencode.aborted.wait()
        opencode.go_on.set()
        *_, last = [event async for event in events]

    assert (first[0], last[0]) == ("delta", "done")
    assert not opencode.aborted.is_set()


async def test_a_turn_is_a_use_of_its_container_as_long_as_it_runs(
    opencode: StubbornOpenCode,
) -> None:
    async with serve(opencode.app()) as url:
        place = ready(url)
        assert place.upstream is not None
        async with served(Gateway(FakeDirectory(place))) as gateway:
            async with gateway.stream("hello"):
                await opencode.prompted.wait()
                assert place.upstream.use.taken()
                assert place.upstream.use.taken()
            with anyio.fail_after(5):
                await opencode.all_left.wait()

        assert not place.upstream.use.taken()
