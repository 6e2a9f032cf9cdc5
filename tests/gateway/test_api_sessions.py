"""Sessions: made of an agent, named by the cookie, shown with where they live, deleted whole."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from gateway.errors import GatewayError
from gateway.routing import Place, State
from tests.support.gateway_api import (
    PASSWORD,
    Browser,
    Gateway,
    agent,
    gateway,
    refusal,
    session,
    view,
)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path, PUBLIC_URL="http://code.test:8000") as served:
        yield served


@pytest.fixture
async def alice(served: Gateway) -> AsyncIterator[Browser]:
    async with served.logged_in("alice") as client:
        yield client


@pytest.fixture
async def bob(served: Gateway) -> AsyncIterator[Browser]:
    async with served.logged_in("bob") as client:
        yield client


async def current(client: Browser) -> str | None:
    """Return the id of the session that the client's cookie names."""
    named = (await client.get("/gateway/me")).json()["session"]
    return None if named is None else named["id"]


async def test_a_session_takes_the_one_agent_there_is(alice: Browser) -> None:
    one = await agent(alice)

    answer = await alice.post("/api/sessions", json={})

    assert answer.status_code == 201
    made = answer.json()
    assert len(made.pop("access_token")) == 43
    assert made.pop("created_at") == made.pop("since")
    assert made == {
        "id": made["id"],
        "agent_id": one["id"],
        "title": "",
        "state": "new",
        "why": "Nothing has asked for it yet. The first request starts it.",
        "next": None,
        "idle_since": None,
        "busy": [],
        "awake_until": None,
        "queue": None,
        "timings": {"queue_s": None, "create_s": None, "boot_s": None, "ready_s": None},
        "memory_bytes": None,
        "container": f"agent_{made['id']}",
        "base_url": "http://code.test:8000",
    }


async def test_the_cookie_names_the_new_session(served: Gateway, alice: Browser) -> None:
    first, second = await session(alice), await session(alice)

    assert await current(alice) == second["id"]
    assert (await alice.post(f"/api/sessions/{first['id']}/activate")).status_code == 204
    assert await current(alice) == first["id"]


async def test_the_access_token_is_shown_once_and_opens_the_session(
    served: Gateway, alice: Browser
) -> None:
    made = await session(alice)
    basic = b64encode(f"anyone:{made['access_token']}".encode()).decode()

    async with served.client(Authorization=f"Basic {basic}") as attached:
        assert await current(attached) == made["id"]
        seen = [
            await attached.get(f"/api/sessions/{made['id']}"),
            await attached.get("/gateway/me"),
            await alice.get("/api/sessions"),
        ]
    assert made["access_token"] not in "".join(answer.text for answer in seen)


async def test_without_an_agent_there_is_a_way_to_get_one(alice: Browser) -> None:
    answer = await alice.post("/api/sessions", json={})

    assert refusal(answer) == (409, "agent_required", None)
    assert answer.json()["data"]["create_url"] == "/gateway/agents"
    assert "Set-Cookie" not in answer.headers


async def test_of_several_agents_one_has_to_be_named(alice: Browser) -> None:
    await agent(alice)
    second = await agent(alice)

    assert refusal(await alice.post("/api/sessions", json={})) == (
        422,
        "invalid_request",
        "agent_id",
    )
    made = await session(alice, agent_id=second["id"], title="  Löwe 🦁 ")
    assert (made["agent_id"], made["title"]) == (second["id"], "Löwe 🦁")


async def test_anothers_agent_cannot_be_used(alice: Browser, bob: Browser) -> None:
    theirs = await agent(bob)
    await agent(alice)

    answer = await alice.post("/api/sessions", json={"agent_id": theirs["id"]})

    assert refusal(answer) == (404, "agent_not_found", "agent_id")


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"title": "x" * 201}, "title"),
        ({"title": 7}, "title"),
        ({"title": "two\nlines"}, "title"),
        ({"agent_id": 7}, "agent_id"),
        ({"agent_id": ""}, "agent_id"),
        ({"name": "x"}, "name"),
    ],
)
async def test_a_wish_that_makes_no_sense_names_the_field(
    alice: Browser, wish: dict[str, object], field: str
) -> None:
    await agent(alice)

    assert refusal(await alice.post("/api/sessions", json=wish)) == (422, "invalid_request", field)
    assert (await alice.get("/api/sessions")).json() == {"sessions": []}


async def test_a_row_that_cannot_be_written_leaves_nothing(
    served: Gateway, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    await agent(alice)

    async def full(*_: object) -> None:
        raise GatewayError("storage_full", "The disk is full.")

    monkeypatch.setattr(type(served.parts.store), "add_session", full)
    answer = await alice.post("/api/sessions", json={})

    assert refusal(answer) == (507, "storage_full", None)
    assert "Set-Cookie" not in answer.headers
    [user] = await served.parts.store.users()
    assert served.parts.roster.sessions_of(user.id) == []


PLACES = [
    (
        Place(State.STARTING, "It boots.", phase="booting"),
        {"state": "starting", "phase": "booting"},
    ),
    (Place(State.READY, "It answers."), {"state": "ready", "phase": None}),
    (
        Place(State.STOPPING, "It is being stopped."),
        {"state": "stopped", "phase": "stopping"},
    ),
    (Place(State.STOPPED, "It was stopped."), {"state": "stopped", "phase": None}),
    (
        Place(State.FAILED, "Its image is missing.", problem="container_failed"),
        {"state": "failed", "problem": "container_failed"},
    ),
    (
        Place(State.REMOVING, "It is being deleted."),
        {"state": "stopped", "phase": "removing"},
    ),
]


@pytest.mark.parametrize(("place", "shown"), PLACES)
async def test_the_state_is_one_of_the_contracts_with_why_in_words(
    served: Gateway, alice: Browser, place: Place, shown: dict[str, str | None]
) -> None:
    made = await session(alice)
    served.directory.places[made["id"]] = place

    seen = (await alice.get(f"/api/sessions/{made['id']}")).json()

    assert {name: seen.get(name) for name in shown} == shown
    assert seen["why"].startswith(place.why)
    assert (await alice.get("/api/sessions")).json() == {"sessions": [seen]}


async def test_a_failed_one_says_when_it_may_start_again(served: Gateway, alice: Browser) -> None:
    made = await session(alice)
    failed = Place(State.FAILED, "It failed.", retry_at=anyio.current_time() + 30)
    served.directory.places[made["id"]] = failed

    seen = (await alice.get(f"/api/sessions/{made['id']}")).json()
    assert 25 < seen["retry_after_s"] <= 30

    served.directory.places[made["id"]] = replace(failed, retry_at=anyio.current_time() - 5)
    assert (await alice.get(f"/api/sessions/{made['id']}")).json()["retry_after_s"] == 0


async def test_a_person_who_starts_does_not_wait_for_the_next_automatic_try(
    served: Gateway, alice: Browser
) -> None:
    made = await session(alice)

    answer = await alice.post(f"/api/sessions/{made['id']}/start")

    assert (answer.status_code, answer.json()["state"]) == (202, "starting")
    assert served.directory.asked == [("start, forced", made["id"])]


async def test_a_session_can_be_stopped(served: Gateway, alice: Browser) -> None:
    made = await session(alice)

    answer = await alice.post(f"/api/sessions/{made['id']}/stop")

    assert (answer.status_code, answer.json()["state"]) == (202, "stopped")


async def test_stopping_what_never_started_is_no_failure(served: Gateway, alice: Browser) -> None:
    made = await session(alice)
    served.directory.failing = GatewayError("session_not_found", "There is no such session.")

    assert (await alice.post(f"/api/sessions/{made['id']}/stop")).status_code == 202


async def test_a_stop_that_fails_says_why(served: Gateway, alice: Browser) -> None:
    made = await session(alice)
    served.directory.failing = GatewayError("engine_unavailable", "Docker does not answer.")

    answer = await alice.post(f"/api/sessions/{made['id']}/stop")

    assert refusal(answer) == (503, "engine_unavailable", None)


async def test_a_deleted_session_leaves_nothing(served: Gateway, alice: Browser) -> None:
    made = await session(alice)

    answer = await alice.delete(f"/api/sessions/{made['id']}")

    assert answer.status_code == 204
    assert served.directory.asked == [("remove", made["id"])]
    assert await served.parts.store.session(made["id"]) is None
    assert served.parts.roster.session(made["id"]) is None
    assert served.live.closed == [f"session {made['id']}"]
    assert await current(alice) is None
    assert refusal(await alice.delete(f"/api/sessions/{made['id']}"))[1] == "session_not_found"


async def test_a_session_whose_container_stays_is_not_deleted(
    served: Gateway, alice: Browser
) -> None:
    made = await session(alice)
    served.directory.failing = GatewayError("engine_unavailable", "Docker does not answer.")

    answer = await alice.delete(f"/api/sessions/{made['id']}")

    assert refusal(answer) == (503, "engine_unavailable", None)
    assert await current(alice) == made["id"]
    assert served.live.closed == []
    served.directory.failing = None
    assert (await alice.delete(f"/api/sessions/{made['id']}")).status_code == 204


async def test_nobody_is_let_in_while_the_container_is_being_deleted(
    served: Gateway, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await session(alice)
    seen: list[object] = []

    async def remove(session_id: str) -> None:
        seen.append(served.parts.roster.session(session_id))

    monkeypatch.setattr(served.directory, "remove", remove)
    await alice.delete(f"/api/sessions/{made['id']}")

    assert seen == [None]


LIFE: dict[str, Any] = {
    "next": {"action": "freeze", "at": "2026-11-22T14:06:00Z", "in_s": 240.0},
    "idle_since": "2026-11-22T14:02:00Z",
    "awake_until": None,
    "queue": None,
    "memory_bytes": 240_000_000,
    "busy": [],
    "timings": {"queue_s": 0.0, "create_s": 0.3, "boot_s": 2.6, "ready_s": 3.0},
}


async def test_what_comes_next_is_asked_of_the_orchestrator(
    served: Gateway, alice: Browser
) -> None:
    made, other = await session(alice), await session(alice)
    served.directory.client.views = {made["id"]: view(made["id"], **LIFE)}

    seen = (await alice.get(f"/api/sessions/{made['id']}")).json()
    listed = (await alice.get("/api/sessions")).json()["sessions"]

    assert {name: seen[name] for name in LIFE} == LIFE
    assert seen["state"] == "ready"
    assert "It freezes in 4 min; nothing has run since 14:02 UTC" in seen["why"]
    assert {each["id"]: each["state"] for each in listed} == {
        made["id"]: "ready",
        other["id"]: "new",
    }


@pytest.mark.parametrize("away", ["refuses", "is silent"])
async def test_without_the_orchestrator_the_answer_is_what_is_known_and_says_so(
    served: Gateway, alice: Browser, away: str
) -> None:
    made = await session(alice)
    served.directory.places[made["id"]] = Place(State.READY, "OpenCode answers.")
    orchestrator = served.directory.client
    if away == "refuses":
        orchestrator.failing = GatewayError("orchestrator_unavailable", "It does not answer.")
    else:
        orchestrator.silent = anyio.Event()

    with anyio.fail_after(3):
        seen = (await alice.get(f"/api/sessions/{made['id']}")).json()

    assert (seen["state"], seen["next"]) == ("ready", None)
    assert "The orchestrator does not answer" in seen["why"]


async def test_a_start_that_was_just_begun_is_shown_before_the_orchestrator_tells_of_it(
    served: Gateway, alice: Browser
) -> None:
    made = await session(alice)
    served.directory.client.views = {made["id"]: view(made["id"], "stopped")}
    begun = Place(State.STARTING, "It is being started.", phase="queued", generation=1)
    served.directory.places[made["id"]] = begun

    assert (await alice.get(f"/api/sessions/{made['id']}")).json()["state"] == "starting"

    served.directory.client.views = {made["id"]: view(made["id"], "failed", generation=2)}
    assert (await alice.get(f"/api/sessions/{made['id']}")).json()["state"] == "failed"


async def test_a_start_that_was_refused_tells_the_refusal(served: Gateway, alice: Browser) -> None:
    made = await session(alice)
    served.directory.client.views = {made["id"]: view(made["id"], "stopped")}
    served.directory.places[made["id"]] = Place(
        State.FAILED, "You may run 3 sessions.", problem="too_many_containers", generation=1
    )

    seen = (await alice.get(f"/api/sessions/{made['id']}")).json()

    assert (seen["state"], seen["problem"]) == ("failed", "too_many_containers")
    assert seen["why"] == "You may run 3 sessions."


async def test_a_stop_that_waits_for_a_turn_is_answered_soon(
    served: Gateway, alice: Browser
) -> None:
    made = await session(alice)
    served.directory.stopping = anyio.Event()

    with anyio.fail_after(3):
        answer = await alice.post(f"/api/sessions/{made['id']}/stop")

    assert (answer.status_code, answer.json()["phase"]) == (202, "stopping")
    assert answer.json()["why"] == "A turn may end first."


async def test_a_session_is_kept_awake_for_a_stated_time(served: Gateway, alice: Browser) -> None:
    made = await session(alice)
    served.directory.client.views = {made["id"]: view(made["id"])}
    path = f"/api/sessions/{made['id']}/keep-awake"

    kept = await alice.post(path, json={"for_s": 3600})
    ended = await alice.post(path, json={"for_s": 0})

    assert (kept.status_code, ended.status_code) == (200, 200)
    assert "Kept awake until " in kept.json()["why"]
    assert (kept.json()["id"], ended.json()["awake_until"]) == (made["id"], None)
    assert served.directory.client.kept == [(made["id"], 3600), (made["id"], 0)]


@pytest.mark.parametrize(
    "wish",
    [{}, {"for_s": None}, {"for_s": 59}, {"for_s": 86_401}, {"for_s": -1}, {"for_s": "1h"}],
)
async def test_a_time_that_is_none_keeps_nothing_awake(
    served: Gateway, alice: Browser, wish: dict[str, object]
) -> None:
    made = await session(alice)
    served.directory.client.views = {made["id"]: view(made["id"])}

    answer = await alice.post(f"/api/sessions/{made['id']}/keep-awake", json=wish)

    assert refusal(answer) == (422, "invalid_request", "for_s")
    assert served.directory.client.kept == []


async def test_what_has_no_container_can_not_be_kept_awake(alice: Browser) -> None:
    made = await session(alice)

    answer = await alice.post(f"/api/sessions/{made['id']}/keep-awake", json={"for_s": 60})

    assert refusal(answer) == (409, "container_stopped", None)


ONE = [
    ("GET", ""),
    ("DELETE", ""),
    ("POST", "/activate"),
    ("POST", "/start"),
    ("POST", "/stop"),
    ("POST", "/keep-awake"),
]


@pytest.mark.parametrize(("method", "what"), ONE)
async def test_anothers_session_is_as_if_it_did_not_exist(
    served: Gateway, alice: Browser, bob: Browser, method: str, what: str
) -> None:
    mine = await session(alice)

    theirs = await bob.request(method, f"/api/sessions/{mine['id']}{what}")
    nobodys = await bob.request(method, f"/api/sessions/{'0' * 32}{what}")

    assert refusal(theirs) == (404, "session_not_found", None)
    assert theirs.content == nobodys.content
    assert served.directory.asked == []
    assert (await bob.get("/api/sessions")).json() == {"sessions": []}


@pytest.mark.parametrize("odd", ["x", "%00", "%ED%A0%80", "A" * 32, "0" * 3000, "%27%20OR%201"])
async def test_what_is_no_id_is_not_looked_for(alice: Browser, odd: str) -> None:
    for path in (f"/api/sessions/{odd}", f"/api/agents/{odd}"):
        status, code, _ = refusal(await alice.get(path))
        assert (status, code.removeprefix("session_").removeprefix("agent_")) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "what", "status"),
    [("GET", "", 200), ("POST", "/start", 202), ("POST", "/stop", 202)],
)
async def test_an_access_token_may_use_its_own_session(
    served: Gateway, alice: Browser, method: str, what: str, status: int
) -> None:
    made, other = await session(alice), await session(alice)

    async with served.client(Authorization=f"Bearer {made['access_token']}") as client:
        mine = await client.request(method, f"/api/sessions/{made['id']}{what}")
        anothers = await client.request(method, f"/api/sessions/{other['id']}{what}")

    assert mine.status_code == status
    assert refusal(anothers) == (403, "login_required", None)


@pytest.mark.parametrize(("method", "what"), [("GET", ""), ("POST", "/start"), ("POST", "/stop")])
async def test_to_an_access_token_anothers_session_does_not_exist(
    served: Gateway, alice: Browser, bob: Browser, method: str, what: str
) -> None:
    made, theirs = await session(alice), await session(bob)

    async with served.client(Authorization=f"Bearer {made['access_token']}") as client:
        anothers = await client.request(method, f"/api/sessions/{theirs['id']}{what}")
        nobodys = await client.request(method, f"/api/sessions/{'0' * 32}{what}")

    assert refusal(anothers) == (404, "session_not_found", None)
    assert anothers.content == nobodys.content


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/sessions"),
        ("POST", "/api/sessions"),
        ("DELETE", "/api/sessions/{id}"),
        ("POST", "/api/sessions/{id}/activate"),
    ],
)
async def test_an_access_token_may_do_no_more(
    served: Gateway, alice: Browser, method: str, path: str
) -> None:
    made = await session(alice)

    async with served.client(Authorization=f"Bearer {made['access_token']}") as client:
        answer = await client.request(method, path.format(id=made["id"]))

    assert refusal(answer) == (403, "login_required", None)
    assert await served.parts.store.session(made["id"]) is not None


async def test_coming_in_again_names_the_only_session(served: Gateway, alice: Browser) -> None:
    only = await session(alice)

    async with served.client() as elsewhere:
        await elsewhere.post("/gateway/login", json={"username": "alice", "password": PASSWORD})

        assert await current(elsewhere) == only["id"]


async def test_coming_in_again_chooses_none_of_several(served: Gateway, alice: Browser) -> None:
    await session(alice)
    await session(alice)

    async with served.client() as elsewhere:
        await elsewhere.post("/gateway/login", json={"username": "alice", "password": PASSWORD})

        assert await current(elsewhere) is None
