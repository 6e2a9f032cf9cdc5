"""Who acts: one supervisor to each term of the lease, and none in between."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette

from orchestrator import api
from orchestrator.errors import OrchestratorError
from orchestrator.office import Office
from orchestrator.orders import Allowed
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor
from tests.orchestrator.conftest import KEY, LIMITS, SELDOM, SESSION, order, starting, terms
from tests.orchestrator.fake_engine import FakeEngine
from tests.orchestrator.serving import Caller, call, serving


class FakeLease:
    """A lease that a test hands out and takes away."""

    holder = "Another orchestrator (elsewhere, since 2026-01-02 03:04 UTC) holds the lease."

    def __init__(self, *, free: bool) -> None:
        self.held = False
        self.free = anyio.Event()
        self.lost = anyio.Event()
        self.given_up = False
        self.error: OrchestratorError | None = None
        if free:
            self.free.set()

    async def take(self) -> bool:
        if self.error is not None:
            raise self.error
        self.held = self.free.is_set()
        return self.held

    async def stand_by(self) -> None:
        await self.free.wait()
        self.held = True

    async def keep(self, lost: Callable[[], None]) -> None:
        await self.lost.wait()
        self.held = False
        lost()

    def take_away(self) -> None:
        self.free = anyio.Event()
        self.lost.set()
        self.lost = anyio.Event()

    async def give_up(self) -> None:
        self.held = False
        self.given_up = True


@pytest.fixture
async def make(engine: FakeEngine, store: Store) -> AsyncIterator[Callable[[], Supervisor]]:
    async with starting(engine) as starter:
        yield lambda: Supervisor(engine, store, starter, KEY, terms(), rhythm=SELDOM)


def office(
    lease: FakeLease, make: Callable[[], Supervisor], hurry: Callable[[], None] = lambda: None
) -> Office:
    the_lease: Any = lease
    return Office(the_lease, make, hurry)


async def until_acting(office: Office) -> Supervisor:
    with anyio.fail_after(5):
        while office.acting is None:
            await anyio.lowlevel.checkpoint()
    return office.acting


async def test_who_gets_the_lease_acts_before_anybody_asks(
    make: Callable[[], Supervisor],
) -> None:
    lease = FakeLease(free=True)
    the_office = office(lease, make)
    async with the_office.open():
        await the_office.supervisor.ensure(order(), force=False)

    assert lease.given_up


async def test_the_engine_hurries_at_the_end_of_the_program_and_not_of_a_term(
    make: Callable[[], Supervisor], engine: FakeEngine
) -> None:
    lease = FakeLease(free=True)
    the_office = office(lease, make, engine.hurry)
    async with the_office.open():
        lease.take_away()
        lease.free.set()
        await until_acting(the_office)
        assert engine.calls["hurry"] == 0

    assert engine.calls["hurry"] == 1


async def test_who_stands_by_says_who_acts_and_touches_nothing(
    make: Callable[[], Supervisor], engine: FakeEngine
) -> None:
    the_office = office(FakeLease(free=False), make)
    async with the_office.open():
        with pytest.raises(OrchestratorError, match=r"elsewhere.*This one stands by") as caught:
            _ = the_office.supervisor

    assert (caught.value.code, caught.value.status) == ("standby", 503)
    assert not engine.calls


async def test_who_takes_over_reads_the_records_as_they_are_then(
    make: Callable[[], Supervisor], engine: FakeEngine
) -> None:
    first, second = FakeLease(free=True), FakeLease(free=False)
    acting, standing_by = office(first, make), office(second, make)
    async with standing_by.open():
        async with acting.open():
            await acting.supervisor.ensure(order(), force=False)
        second.free.set()
        supervisor = await until_acting(standing_by)

        assert supervisor.record(SESSION).state == "ready"
    assert engine.calls["start"] == 1


async def test_a_lost_lease_ends_its_supervisor_and_a_new_one_begins_with_the_next(
    make: Callable[[], Supervisor],
) -> None:
    lease = FakeLease(free=True)
    the_office = office(lease, make)
    async with the_office.open():
        first = the_office.supervisor
        async with first.listening() as listener:
            lease.take_away()
            with anyio.fail_after(5):
                ended = [change async for change in listener.changes(60)]
        assert [name for name, _ in filter(None, ended)] == ["snapshot"]
        with pytest.raises(OrchestratorError):
            _ = the_office.supervisor

        lease.free.set()
        assert await until_acting(the_office) is not first


async def test_a_database_that_is_away_is_waited_for(
    make: Callable[[], Supervisor], caplog: pytest.LogCaptureFixture
) -> None:
    lease = FakeLease(free=True)
    lease.error = OrchestratorError("storage_unavailable", "The database sleeps.")
    the_office = office(lease, make)
    async with the_office.open():
        await until_acting(the_office)

    assert "lease not looked at: The database sleeps." in caplog.text


@asynccontextmanager
async def asking(the_office: Office) -> AsyncIterator[Caller]:
    app = Starlette(routes=api.routes, exception_handlers=api.exception_handlers)
    app.state.office = the_office
    app.state.allowed = Allowed(("image",), LIMITS)
    async with the_office.open(), serving(app) as address, call(address, "any") as caller:
        yield caller


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/agent-controller/sessions"),
        ("GET", f"/agent-controller/sessions/{SESSION}"),
        ("DELETE", f"/agent-controller/sessions/{SESSION}"),
        ("POST", f"/agent-controller/sessions/{SESSION}/stop"),
        ("GET", "/agent-controller/events"),
        ("GET", "/agent-controller/metrics"),
    ],
)
async def test_a_stand_by_answers_nothing_for_the_other(
    make: Callable[[], Supervisor], method: str, path: str
) -> None:
    async with asking(office(FakeLease(free=False), make)) as caller:
        answer = await caller.request(method, path)

    assert (answer.status_code, answer.json()["data"]["code"]) == (503, "standby")
    assert answer.json()["data"]["retry_after_s"] > 0


async def test_a_stand_by_says_so_when_its_health_is_asked(
    make: Callable[[], Supervisor],
) -> None:
    async with asking(office(FakeLease(free=False), make)) as caller:
        answer = await caller.get(api.HEALTH)

    assert (answer.status_code, answer.json()["standby"]) == (200, True)
