"""Two hundred first requests for twenty sessions of four people, all at once.

The requests come one person after the other, so that whoever only serves in order of arrival lets
the last one wait for all the others.
"""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.support.agreement import mark
from tests.support.deployment import Person
from tests.support.desk import OWN, route
from tests.support.engine import docker, docker_host
from tests.support.scripted_model import Model
from tests.support.services import Services, services
from tests.support.waiting import until

# Twenty starts, two at a time: over a minute where nothing else runs, five where much does.
pytestmark = [pytest.mark.docker, pytest.mark.opencode, pytest.mark.timeout(700)]

_PEOPLE = ("alice", "bob", "carol", "dave")
_SESSIONS_EACH = 5
_REQUESTS_EACH = 10
_AT_ONCE = 2
_BEGUN = ("creating", "booting")
_BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@dataclass(slots=True)
class Crowd:
    """`sessions` is whose each is and its token; the rest is what was answered and told."""

    sessions: dict[str, tuple[str, str]] = field(default_factory=dict)
    answers: list[tuple[str, httpx.Response]] = field(default_factory=list)
    told: list[dict[str, Any]] = field(default_factory=list)
    waiting: dict[str, Any] = field(default_factory=dict)
    page: str = ""
    kept: dict[str, list[str]] = field(default_factory=dict)
    containers: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
async def crowd(
    model: Model, opencode_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Crowd]:
    """What became of it all, once everybody was answered."""
    docker_host()
    state, crowd = tmp_path_factory.mktemp("crowd") / "state", Crowd()
    settings = {"START_CONCURRENCY": str(_AT_ONCE), "START_TIMEOUT_S": "600", "FREEZE_AFTER_S": "0"}
    async with services(state, POOL_SIZE="0", **settings) as both:
        async with (
            _come_in(both, model, crowd) as last,
            _program(both) as program,
            anyio.create_task_group() as beside,
        ):
            listening = anyio.Event()
            beside.start_soon(_listen, both, crowd, listening)
            await listening.wait()
            async with anyio.create_task_group() as asking:
                for session_id in crowd.sessions:
                    for number in range(_REQUESTS_EACH):
                        asking.start_soon(_ask, program, crowd, session_id, number)
                await _look_into_the_queue(last, crowd)
            for session_id in crowd.sessions:
                listed = await program.get("/session", headers=_token(crowd, session_id))
                crowd.kept[session_id] = [each["title"] for each in listed.json()]
            chosen = ("--filter", mark(state), "--format", "{{.Names}}")
            crowd.containers = docker("ps", "-a", *chosen).split()
            beside.cancel_scope.cancel()
        yield crowd


async def test_all_are_answered_by_their_own_session(crowd: Crowd) -> None:
    served = Counter((told.status_code, route(told)) for _, told in crowd.answers)

    assert served == {(200, OWN): 200}
    assert [told.json()["title"] for _, told in crowd.answers] == [
        title for title, _ in crowd.answers
    ]
    assert {session_id: sorted(titles) for session_id, titles in crowd.kept.items()} == {
        session_id: sorted(_title(session_id, number) for number in range(_REQUESTS_EACH))
        for session_id in crowd.sessions
    }


async def test_one_container_is_made_for_each_and_never_more_than_two_at_a_time(
    crowd: Crowd,
) -> None:
    assert sorted(crowd.containers) == sorted(f"agent_{each}" for each in crowd.sessions)
    assert max(_starting_at_a_time(crowd)) == _AT_ONCE


async def test_nobody_waits_for_all_sessions_of_another(crowd: Crowd) -> None:
    """Whoever came first finds both places free; from then on they take turns, but for whom a slow
    start keeps from the next one."""
    begun = dict.fromkeys(told["session_id"] for told in crowd.told if told["phase"] in _BEGUN)
    turns = [crowd.sessions[session_id][0] for session_id in begun]
    counts = [Counter(turns[:end]) for end in range(len(turns) + 1)]
    ahead = [
        max(count[name] - count[other] for name in _PEOPLE for other in _PEOPLE) for count in counts
    ]

    assert counts[-1] == dict.fromkeys(_PEOPLE, _SESSIONS_EACH)
    assert set(turns[: _AT_ONCE + len(_PEOPLE)]) == set(_PEOPLE)
    assert max(ahead) <= _AT_ONCE + 1


async def test_who_waits_is_told_their_place_in_the_queue(crowd: Crowd) -> None:
    place, of = crowd.waiting["queue"]["place"], crowd.waiting["queue"]["of"]

    assert 0 < place <= of < 20
    assert crowd.waiting["state"] == "starting"
    assert f" of {of} waiting for a start." in crowd.waiting["why"]
    assert " waiting for a start." in crowd.page


@asynccontextmanager
async def _come_in(both: Services, model: Model, crowd: Crowd) -> AsyncIterator[Person]:
    """Let them all in, each with an agent and sessions; yields the last, on their last session."""
    async with AsyncExitStack() as leaving:
        for name in _PEOPLE:
            person = await both.deployment().person(name)
            leaving.push_async_callback(person.http.aclose)
            await person.agent(model.wish)
            for _ in range(_SESSIONS_EACH):
                session = await person.session()
                crowd.sessions[session["id"]] = (name, session["access_token"])
        yield person


def _program(both: Services) -> httpx.AsyncClient:  # noqa: TID251 - two hundred connections at once
    limits = httpx.Limits(max_connections=_REQUESTS_EACH * 20)
    return httpx.AsyncClient(base_url=both.base_url, limits=limits, timeout=600)  # noqa: TID251


async def _ask(
    program: httpx.AsyncClient,  # noqa: TID251 - see `_program`
    crowd: Crowd,
    session_id: str,
    number: int,
) -> None:
    title = _title(session_id, number)
    headers = _token(crowd, session_id)
    told = await program.post("/session", json={"title": title}, headers=headers)
    crowd.answers.append((title, told))


async def _look_into_the_queue(last: Person, crowd: Crowd) -> None:
    """See what the last to come is told of how far they have come, by the API and as a page."""
    session_id = list(crowd.sessions)[-1]

    async def is_queued() -> bool:
        crowd.waiting = (await last.http.get(f"/api/sessions/{session_id}")).json()
        return crowd.waiting["queue"] is not None

    await until(is_queued, "a place in the queue", within_s=60)
    crowd.page = (await last.http.get("/", headers=_BROWSER)).text


async def _listen(both: Services, crowd: Crowd, listening: anyio.Event) -> None:
    """Note every view that the orchestrator tells of."""
    headers = {"Authorization": f"Bearer {_service_secret(both)}"}
    url = f"{both.environ['ORCHESTRATOR_URL']}/agent-controller/events"
    async with (
        httpx.AsyncClient(timeout=600) as client,  # noqa: TID251 - the events' reader
        client.stream("GET", url, headers=headers) as events,
    ):
        listening.set()
        async for line in events.aiter_lines():
            view = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            if "session_id" in view:
                crowd.told.append(view)


def _service_secret(both: Services) -> str:
    return Path(both.environ["STATE"], "keys", "service.secret").read_text("ascii").strip()


def _starting_at_a_time(crowd: Crowd) -> Iterator[int]:
    """How many were being made or booted, after each thing that was told."""
    phases: dict[str, str | None] = {}
    for told in crowd.told:
        phases[told["session_id"]] = told["phase"]
        yield sum(phase in _BEGUN for phase in phases.values())


def _token(crowd: Crowd, session_id: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {crowd.sessions[session_id][1]}"}


def _title(session_id: str, number: int) -> str:
    return f"{session_id} {number}"
