"""The orchestrator over HTTP, on a real socket, with an engine in memory."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from orchestrator.api import HEALTH
from orchestrator.app import create_app
from orchestrator.engines.base import EngineError
from orchestrator.settings import Settings, load_settings
from tests.orchestrator.conftest import SESSION, USER
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.serving import Caller, call, serving
from tests.support.waiting import until

SECRET = "a secret of both programs"
OTHER = "6" * 32
SESSIONS = "/agent-controller/sessions"
BODY: dict[str, Any] = {
    "session_id": SESSION,
    "user_id": USER,
    "agent": {"id": "a" * 32, "provider": "anthropic", "model": None, "base_url": None},
    "token": "sk-secret",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(
        {
            "STATE": str(tmp_path),
            "SERVICE_SECRET": SECRET,
            "AGENT_IMAGES": "one",
            "POOL_SIZE": "0",
        }
    )


@pytest.fixture
async def app(settings: Settings, engine: FakeEngine) -> Starlette:
    return create_app(settings, engine)


@pytest.fixture
async def caller(app: Starlette) -> AsyncIterator[Caller]:
    async with serving(app) as address, call(address, SECRET) as caller:
        yield caller


def code(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    assert body["name"].lower() == body["data"]["code"].replace("_", "")
    assert body["data"]["message"].endswith((".", "?"))
    return answer.status_code, body["data"]["code"]


async def test_ensure_answers_with_the_whole_view_once_ready(caller: Caller) -> None:
    answer = await caller.post(f"{SESSIONS}/agent", json=BODY)
    view = answer.json()

    assert (answer.status_code, view["state"], view["phase"]) == (200, "ready", None)
    assert (view["container"], view["volume"]) == (f"agent_{SESSION}", f"agent_{SESSION}")
    assert (view["image"], view["generation"], view["retry_after_s"]) == ("one", 1, None)
    assert view["since"].endswith("Z")
    assert set(view["timings"]) == {"queue_s", "create_s", "boot_s", "ready_s"}
    url = f"http://{view['address']['host']}:{view['address']['port']}/global/health"
    auth = (view["credential"]["username"], view["credential"]["password"])
    assert (await caller.get(url, auth=auth)).json()["healthy"] is True


async def test_address_and_password_are_shown_only_while_ready(caller: Caller) -> None:
    await caller.post(f"{SESSIONS}/agent", json=BODY)
    stopped = (await caller.post(f"{SESSIONS}/{SESSION}/stop")).json()

    assert (stopped["state"], stopped["address"], stopped["credential"]) == ("stopped", None, None)
    assert (await caller.get(f"{SESSIONS}/{SESSION}")).json()["state"] == "stopped"


async def test_verify_gives_the_view_after_looking(caller: Caller, engine: FakeEngine) -> None:
    await caller.post(f"{SESSIONS}/agent", json=BODY)
    assert (await caller.post(f"{SESSIONS}/{SESSION}/verify")).json()["state"] == "ready"

    await engine.server(SESSION).close()
    assert (await caller.post(f"{SESSIONS}/{SESSION}/verify")).json()["state"] == "failed"


async def test_delete_leaves_nothing_and_may_be_repeated(
    caller: Caller, engine: FakeEngine
) -> None:
    await caller.post(f"{SESSIONS}/agent", json=BODY)
    statuses = [(await caller.delete(f"{SESSIONS}/{SESSION}")).status_code for _ in range(2)]

    assert statuses == [204, 204]
    assert (engine.containers, engine.written) == ({}, {})
    assert (await caller.get(SESSIONS)).json() == {"sessions": []}


async def test_only_those_that_are_named_are_listed(caller: Caller) -> None:
    await caller.post(f"{SESSIONS}/agent", json=BODY)
    await caller.post(f"{SESSIONS}/agent", json={**BODY, "session_id": OTHER})

    both = (await caller.get(SESSIONS)).json()["sessions"]
    named = await caller.get(SESSIONS, params={"id": [OTHER, "9" * 32]})
    one = named.json()["sessions"]
    assert [len(both), [view["session_id"] for view in one]] == [2, [OTHER]]


async def test_a_session_is_kept_awake_and_the_view_says_until_when(caller: Caller) -> None:
    await caller.post(f"{SESSIONS}/agent", json=BODY)
    kept = await caller.post(f"{SESSIONS}/{SESSION}/keep", json={"for_s": 3600})
    assert (kept.status_code, kept.json()["awake_until"][-1]) == (200, "Z")

    ended = await caller.post(f"{SESSIONS}/{SESSION}/keep", json={"for_s": 0})
    assert ended.json()["awake_until"] is None


async def test_a_session_nobody_knows_can_not_be_kept_awake(caller: Caller) -> None:
    answer = await caller.post(f"{SESSIONS}/{SESSION}/keep", json={"for_s": 3600})

    assert code(answer) == (404, "session_not_found")


async def test_reported_use_wakes_what_is_frozen(caller: Caller, engine: FakeEngine) -> None:
    await caller.post(f"{SESSIONS}/agent", json=BODY)
    await engine.freeze(SESSION)

    async def is_in(state: str) -> bool:
        return bool((await caller.get(f"{SESSIONS}/{SESSION}")).json()["state"] == state)

    await until(partial(is_in, "frozen"), "it is frozen", within_s=5)
    answer = await caller.post("/agent-controller/activity", json={"sessions": [SESSION, OTHER]})
    assert (answer.status_code, answer.content) == (204, b"")
    await until(partial(is_in, "ready"), "it is ready", within_s=5)


async def test_metrics_are_told_as_prometheus_reads_them(caller: Caller) -> None:
    await caller.post(f"{SESSIONS}/agent", json=BODY)
    answer = await caller.get("/agent-controller/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'opencode_gateway_containers{state="ready"} 1' in answer.text
    assert 'start_seconds_count{kind="cold",phase="ready"} 1' in answer.text


@pytest.mark.parametrize(
    ("limit", "status", "name"),
    [
        ({"MAX_CONTAINERS_PER_USER": "1"}, 429, "too_many_containers"),
        ({"MAX_CONTAINERS": "1"}, 503, "no_room"),
    ],
)
async def test_ones_own_limit_and_everybodys_are_told_apart(
    settings: Settings, engine: FakeEngine, limit: dict[str, str], status: int, name: str
) -> None:
    limited = load_settings({"STATE": str(settings.state), "SERVICE_SECRET": SECRET, **limit})
    terms = replace(limited.terms, spares=settings.terms.spares)
    app = create_app(replace(settings, terms=terms), engine)
    async with serving(app) as address, call(address, SECRET) as caller:
        await caller.post(f"{SESSIONS}/agent", json=BODY)
        answer = await caller.post(f"{SESSIONS}/agent", json={**BODY, "session_id": OTHER})

    assert code(answer) == (status, name)
    assert answer.json()["data"]["retry_after_s"] > 0


async def test_who_still_waits_when_the_time_is_over_is_told_the_place(
    settings: Settings, engine: FakeEngine
) -> None:
    terms = replace(settings.terms, starts_at_once=1)
    app = create_app(replace(settings, terms=terms, start_timeout_s=0.3), engine)
    engine.hold("create")
    async with (
        serving(app) as address,
        call(address, SECRET) as caller,
        anyio.create_task_group() as group,
    ):
        group.start_soon(partial(caller.post, f"{SESSIONS}/agent", json=BODY))
        await engine.reached("create")
        answer = await caller.post(f"{SESSIONS}/agent", json={**BODY, "session_id": OTHER})
        view = (await caller.get(f"{SESSIONS}/{OTHER}")).json()
        engine.release("create")

    assert code(answer) == (503, "start_queued")
    assert (answer.json()["data"]["place"], answer.json()["data"]["of"]) == (1, 1)
    assert (view["state"], view["phase"]) == ("starting", "queued")
    assert view["queue"] == {"place": 1, "of": 1}


async def test_a_failed_start_tells_why_and_when_to_come_again(
    caller: Caller, engine: FakeEngine
) -> None:
    engine.refuse("start", EngineError("The Docker Engine's disk is full."))
    answer = await caller.post(f"{SESSIONS}/agent", json=BODY)
    data = answer.json()["data"]

    assert code(answer) == (502, "container_failed")
    assert (data["why"], data["phase"]) == ("The Docker Engine's disk is full.", "booting")
    assert 0 < data["retry_after_s"] <= 1
    assert "sk-secret" not in answer.text


async def test_an_engine_that_sleeps_is_503(caller: Caller, engine: FakeEngine) -> None:
    engine.answers = False

    answer = await caller.post(f"{SESSIONS}/agent", json=BODY)
    assert code(answer) == (503, "engine_unavailable")
    assert code(await caller.delete(f"{SESSIONS}/{SESSION}")) == (503, "engine_unavailable")


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [
        ("GET", f"{SESSIONS}/{'9' * 32}", 404, "session_not_found"),
        ("POST", f"{SESSIONS}/{'9' * 32}/stop", 404, "session_not_found"),
        ("GET", f"{SESSIONS}/..%2f..", 404, "not_found"),
        ("DELETE", f"{SESSIONS}/nonsense", 404, "session_not_found"),
        ("GET", "/", 404, "not_found"),
        ("PUT", SESSIONS, 405, "method_not_allowed"),
    ],
)
async def test_what_is_not_there_is_told_in_one_shape(
    caller: Caller, method: str, path: str, status: int, name: str
) -> None:
    assert code(await caller.request(method, path)) == (status, name)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"session_id": "\xff"}'])
async def test_a_body_that_is_no_order_is_refused(caller: Caller, body: bytes) -> None:
    answer = await caller.post(f"{SESSIONS}/agent", content=body)

    assert code(answer) == (422, "invalid_request")


async def test_a_body_without_end_is_not_read_to_its_end(caller: Caller) -> None:
    answer = await caller.post(f"{SESSIONS}/agent", content=b" " * 70_000)

    assert code(answer) == (413, "body_too_large")


@pytest.mark.parametrize("given", [None, "Bearer wrong", f"Basic {SECRET}", f"bearer {SECRET}"])
async def test_without_the_service_secret_nothing_is_told(
    app: Starlette, given: str | None
) -> None:
    headers = {} if given is None else {"Authorization": given}
    async with serving(app) as address, call(address, SECRET) as caller:
        del caller.headers["Authorization"]
        answer = await caller.get(SESSIONS, headers=headers)

    assert code(answer) == (401, "unauthorized")


async def test_health_needs_no_secret_and_tells_of_the_engine(
    caller: Caller, engine: FakeEngine
) -> None:
    del caller.headers["Authorization"]
    well = {"healthy": True, "engine": "fake", "engine_answers": True}
    assert (await caller.get(HEALTH)).json() == well

    engine.answers = False
    unwell = (await caller.get(HEALTH)).json()
    assert (unwell["healthy"], unwell["engine_answers"]) == (False, False)
    assert unwell["why"] == "The fake engine does not answer."


async def test_a_mistake_of_ours_is_told_without_its_details(
    app: Starlette, engine: FakeEngine
) -> None:
    async with serving(app) as address, call(address, SECRET) as caller:
        engine.refuse("ping", RuntimeError("inner details"))  # type: ignore[arg-type]
        answer = await caller.get(HEALTH)

    assert code(answer) == (500, "internal_error")
    assert "inner" not in answer.text


async def test_events_begin_with_a_snapshot_and_tell_every_change(caller: Caller) -> None:
    told: list[tuple[str, Any]] = []
    with anyio.fail_after(10):
        async with caller.stream("GET", "/agent-controller/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            async for name, body in events(stream):
                if not told:
                    await caller.post(f"{SESSIONS}/agent", json=BODY)
                    await caller.delete(f"{SESSIONS}/{SESSION}")
                told.append((name, body))
                if name == "removed":
                    break

    states = [body["state"] for name, body in told if name == "session"]
    assert told[0] == ("snapshot", {"sessions": []})
    assert list(dict.fromkeys(states)) == ["starting", "ready", "removing"]
    assert told[-1] == ("removed", {"session_id": SESSION})


async def test_a_quiet_stream_beats(caller: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.api.HEARTBEAT_S", 0.01)
    with anyio.fail_after(5):
        async with caller.stream("GET", "/agent-controller/events") as stream:
            async for line in stream.aiter_lines():
                if line == ": heartbeat":
                    break


async def events(stream: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in stream.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def test_containers_outlive_the_program_unless_it_is_the_whole_deployment(
    settings: Settings, engine: FakeEngine
) -> None:
    running = []
    for stop in (False, True):
        app = create_app(replace(settings, stop_containers_on_exit=stop), engine)
        async with serving(app) as address, call(address, SECRET) as caller:
            await caller.post(f"{SESSIONS}/agent", json=BODY)
        running.append(engine.containers[SESSION].seen.running)

    assert running == [True, False]
