"""What the gateway says to the orchestrator, and how its answers are read."""

from collections.abc import AsyncIterator

import httpx
import pytest
from pytest_httpx import HTTPXMock

from gateway.errors import GatewayError
from gateway.orchestrator_client import OrchestratorClient

URL = "http://orchestrator:8001"
VIEW = {"session_id": "s1", "state": "ready"}


@pytest.fixture
async def orchestrator() -> AsyncIterator[OrchestratorClient]:
    client = OrchestratorClient(URL, "the-service-secret", patience_s=1)
    yield client
    await client.aclose()


async def test_an_order_goes_out_with_the_service_secret(
    orchestrator: OrchestratorClient, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(
        url=f"{URL}/agent-controller/sessions/agent",
        method="POST",
        match_headers={"Authorization": "Bearer the-service-secret"},
        match_json={"session_id": "s1"},
        json=VIEW,
    )

    assert await orchestrator.ensure({"session_id": "s1"}) == VIEW


async def test_a_failure_is_the_error_that_the_orchestrator_raised(
    orchestrator: OrchestratorClient, httpx_mock: HTTPXMock
) -> None:
    told = {"data": {"code": "container_failed", "message": "It broke.", "retry_after_s": 2}}
    httpx_mock.add_response(status_code=502, json=told)

    with pytest.raises(GatewayError) as failed:
        await orchestrator.verify("s1")

    assert (failed.value.code, failed.value.message) == ("container_failed", "It broke.")
    assert failed.value.data == {"retry_after_s": 2}


async def test_an_orchestrator_that_does_not_answer_is_told_as_away(
    orchestrator: OrchestratorClient, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_exception(httpx.ConnectError("refused"))

    with pytest.raises(GatewayError, match=f"does not answer at {URL}, so") as failed:
        await orchestrator.stop("s1")

    assert failed.value.code == "orchestrator_unavailable"


async def test_events_come_as_names_and_views(
    orchestrator: OrchestratorClient, httpx_mock: HTTPXMock
) -> None:
    stream = b': beat\n\nevent: snapshot\ndata: {"sessions": []}\n\nevent: session\ndata: {}\n\n'
    httpx_mock.add_response(url=f"{URL}/agent-controller/events", content=stream)

    assert [event async for event in orchestrator.events()] == [
        ("snapshot", {"sessions": []}),
        ("session", {}),
    ]


async def test_an_event_stream_that_is_none_is_a_failure_of_the_orchestrator(
    orchestrator: OrchestratorClient, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(content=b"event: session\ndata: <html>\n\n")

    with pytest.raises(GatewayError) as failed:
        [event async for event in orchestrator.events()]

    assert failed.value.code == "orchestrator_failed"


async def test_many_are_asked_for_at_once(
    orchestrator: OrchestratorClient, httpx_mock: HTTPXMock
) -> None:
    url = f"{URL}/agent-controller/sessions?id=s1&id=s2"
    httpx_mock.add_response(url=url, json={"sessions": [VIEW]})

    assert await orchestrator.show_many(["s1", "s2"]) == [VIEW]


async def test_a_container_is_kept_awake_for_a_time(
    orchestrator: OrchestratorClient, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(
        url=f"{URL}/agent-controller/sessions/s1/keep",
        method="POST",
        match_json={"for_s": 3600},
        json=VIEW,
    )

    assert await orchestrator.keep("s1", 3600) == VIEW


async def test_what_is_used_is_told_by_id(
    orchestrator: OrchestratorClient, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(
        url=f"{URL}/agent-controller/activity",
        method="POST",
        match_json={"sessions": ["s1", "s2"]},
        status_code=204,
    )

    await orchestrator.activity(["s1", "s2"])


async def test_one_view_and_the_metrics_come_as_they_are(
    orchestrator: OrchestratorClient, httpx_mock: HTTPXMock
) -> None:
    httpx_mock.add_response(url=f"{URL}/agent-controller/sessions/s1", json=VIEW)
    httpx_mock.add_response(url=f"{URL}/agent-controller/metrics", text="starts 1\n")

    assert await orchestrator.show("s1") == VIEW
    assert await orchestrator.metrics() == "starts 1\n"
