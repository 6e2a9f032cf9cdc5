"""What is told to the orchestrator as used, and how it gets there."""

from collections.abc import Sequence
from typing import Any, cast

from gateway.activity import Activity, in_requests
from gateway.directory import Directory
from gateway.errors import GatewayError
from gateway.routing import Place, State, Upstream
from gateway.wire.upstream import Pool


class FakeDirectory:
    """Two containers that live; the orchestrator behind it keeps reports, or refuses them."""

    def __init__(self, state: State = State.READY) -> None:
        self.client = self
        self.connected = True
        self.state = state
        self.reports: list[Sequence[str]] = []
        self.refuses = False
        self.started: list[str] = []
        self.upstreams = {name: _upstream(name) for name in ("s1", "s2")}

    def living(self) -> Any:
        return self.upstreams.items()

    def place(self, session_id: str) -> Place:
        return Place(self.state)

    def start_soon(self, session_id: str) -> None:
        self.started.append(session_id)

    async def activity(self, session_ids: Sequence[str]) -> None:
        if self.refuses:
            raise GatewayError("orchestrator_unavailable", "Away.")
        self.reports.append(session_ids)

    def activity_of_it(self) -> Activity:
        return Activity(cast(Directory, self))


def _upstream(name: str) -> Upstream:
    return Upstream(name, "127.0.0.1", 1, b"", Pool(name, "127.0.0.1", 1))


async def test_nothing_used_is_nothing_said() -> None:
    directory = FakeDirectory()
    activity = directory.activity_of_it()
    activity.look()
    await activity.report()

    assert directory.reports == []


async def test_what_was_asked_is_told_once() -> None:
    directory = FakeDirectory()
    activity = directory.activity_of_it()
    directory.upstreams["s1"].use.asked = True
    for _ in range(2):
        activity.look()
        await activity.report()

    assert directory.reports == [("s1",)]


async def test_turn_of_the_chat_endpoint_is_told_as_long_as_it_runs() -> None:
    directory = FakeDirectory()
    activity = directory.activity_of_it()
    with directory.upstreams["s2"].use.by_a_turn():
        for _ in range(2):
            activity.look()
            await activity.report()
    activity.look()
    await activity.report()

    assert directory.reports == [("s2",), ("s2",)]


async def test_report_that_failed_is_carried_over() -> None:
    directory = FakeDirectory()
    activity = directory.activity_of_it()
    directory.upstreams["s1"].use.asked = True
    activity.look()
    directory.refuses = True
    await activity.report()
    directory.refuses = False
    directory.upstreams["s2"].use.asked = True
    activity.look()
    await activity.report()

    assert directory.reports == [("s1", "s2")]


def test_a_request_carries_five_hundred_at_most() -> None:
    told = list(in_requests({f"{number:04}" for number in range(1001)}))

    assert [len(ids) for ids in told] == [500, 500, 1]
    assert len({one for ids in told for one in ids}) == 1001


async def test_what_is_used_although_it_is_frozen_is_woken() -> None:
    directory = FakeDirectory(State.FROZEN)
    directory.upstreams["s1"].use.asked = True
    directory.activity_of_it().look()

    assert directory.started == ["s1"]


async def test_wake_is_asked_for_until_it_is_awake() -> None:
    directory = FakeDirectory(State.FROZEN)
    activity = directory.activity_of_it()
    activity.wake("s1")
    activity.look()
    assert directory.started == ["s1", "s1"]
    directory.state = State.READY
    activity.look()
    directory.state = State.FROZEN
    activity.look()

    assert directory.started == ["s1", "s1"]


async def test_nobody_is_asked_to_wake_while_the_orchestrator_is_away() -> None:
    directory = FakeDirectory(State.FROZEN)
    directory.connected = False
    directory.upstreams["s1"].use.asked = True
    directory.activity_of_it().look()

    assert directory.started == []
