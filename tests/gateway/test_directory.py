"""Where sessions live: events followed, starts joined, pools kept per container."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from gateway.directory import Directory
from gateway.errors import GatewayError
from gateway.orchestrator_client import OrchestratorClient, View
from gateway.routing import Interruption, Place, State, Upstream
from gateway.wire.tasks import Tasks


def view(state: str = "ready", generation: int = 1, port: int = 4096, **more: Any) -> View:
    living = state in ("ready", "frozen", "stopping")
    return {
        "session_id": "s1",
        "container": "agent_s1",
        "generation": generation,
        "state": state,
        "phase": None,
        "why": "Because.",
        "since": "2026-01-02T03:04:05Z",
        "address": {"host": "127.0.0.1", "port": port} if living else None,
        "credential": {"username": "opencode", "password": "pw"} if living else None,
        "retry_after_s": None,
        **more,
    }


class FakeOrchestrator(OrchestratorClient):
    """Answers what the test put in, when the test lets it."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[View | GatewayError] = asyncio.Queue()
        self.stream: asyncio.Queue[tuple[str, View]] = asyncio.Queue()
        self.orders: list[Mapping[str, Any]] = []

    async def ensure(self, order: Mapping[str, Any]) -> View:
        self.orders.append(order)
        answer = await self.answers.get()
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    async def remove(self, session_id: str) -> None:
        return None

    async def events(self) -> AsyncIterator[tuple[str, View]]:
        while True:
            yield await self.stream.get()


def is_open(upstream: Upstream | None) -> bool:
    assert upstream is not None
    return not upstream.pool.closed


class Fixture:
    def __init__(self) -> None:
        self.orchestrator = FakeOrchestrator()
        self.tasks = Tasks()
        self.changes: list[tuple[str, State]] = []
        self.changed = asyncio.Event()
        self.gone: list[str] = []
        self.directory = Directory(
            self.orchestrator, self.tasks, self._order, self._changed, self.gone.append
        )

    async def _order(self, session_id: str) -> dict[str, Any]:
        return {"session_id": session_id}

    def _changed(self, session_id: str, place: Place) -> None:
        self.changes.append((session_id, place.state))
        self.changed.set()

    async def hear(self, event: str, data: View) -> None:
        """Deliver one event and wait until it changed something."""
        self.changed.clear()
        self.orchestrator.stream.put_nowait((event, data))
        await asyncio.wait_for(self.changed.wait(), 2)


@asynccontextmanager
async def following() -> AsyncIterator[Fixture]:
    fixture = Fixture()
    task = fixture.tasks.start(fixture.directory.follow(), "follow")
    try:
        yield fixture
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await fixture.tasks.aclose()


async def test_unknown_session_is_new() -> None:
    assert Fixture().directory.place("s1").state is State.NEW


async def test_ready_view_gives_an_upstream_with_its_credential() -> None:
    async with following() as fixture:
        await fixture.hear("session", view())

        upstream = fixture.directory.place("s1").upstream
        assert upstream is not None
        assert upstream.authorization == b"Basic b3BlbmNvZGU6cHc="


async def test_same_generation_keeps_its_pool() -> None:
    async with following() as fixture:
        await fixture.hear("session", view())
        before = fixture.directory.place("s1").upstream
        await fixture.hear("session", view(why="Something else."))

        assert fixture.directory.place("s1").upstream is before


async def test_next_generation_at_the_same_address_gets_a_pool_of_its_own() -> None:
    async with following() as fixture:
        await fixture.hear("session", view())
        before = fixture.directory.place("s1").upstream
        await fixture.hear("session", view(generation=2))

        after = fixture.directory.place("s1").upstream
        assert before is not None
        assert after is not None
        assert after.pool is not before.pool
        with pytest.raises(ConnectionRefusedError):
            await before.pool.connect()


@pytest.mark.parametrize("state", ["frozen", "stopping"])
async def test_nothing_new_goes_where_open_connections_are_kept(state: str) -> None:
    async with following() as fixture:
        await fixture.hear("session", view())
        before = fixture.directory.place("s1").upstream
        await fixture.hear("session", view(state))

        place = fixture.directory.place("s1")
        assert place.upstream is None
        assert place.kept is before
        assert is_open(before)
        assert dict(fixture.directory.living()) == {"s1": before}


@pytest.mark.parametrize(
    "end", [view("stopped"), view("failed"), view("starting", 2), view("removing"), view("new")]
)
@pytest.mark.parametrize("state", ["frozen", "stopping"])
async def test_what_was_kept_is_closed_once_the_server_is_gone(state: str, end: View) -> None:
    async with following() as fixture:
        await fixture.hear("session", view(state))
        before = fixture.directory.place("s1").kept
        await fixture.hear("session", end)

        assert not is_open(before)
        assert not fixture.directory.living()


async def test_waking_gives_back_the_very_same_upstream() -> None:
    async with following() as fixture:
        await fixture.hear("session", view())
        before = fixture.directory.place("s1").upstream
        await fixture.hear("session", view("frozen"))
        fixture.orchestrator.answers.put_nowait(view())

        assert (await fixture.directory.ensure("s1")).upstream is before
        assert is_open(before)


async def test_frozen_session_is_frozen_until_it_is_awake() -> None:
    async with following() as fixture:
        await fixture.hear("session", view("frozen"))

        fixture.directory.start_soon("s1")

        assert fixture.directory.place("s1").state is State.FROZEN


@pytest.mark.parametrize("state", ["frozen", "stopping"])
@pytest.mark.parametrize("code", ["orchestrator_unavailable", "engine_unavailable", "no_room"])
async def test_failed_wake_cuts_nothing(state: str, code: str) -> None:
    async with following() as fixture:
        await fixture.hear("session", view(state))
        before = fixture.directory.place("s1")
        fixture.orchestrator.answers.put_nowait(GatewayError(code, "Not now."))

        with suppress(GatewayError):
            await fixture.directory.ensure("s1")

        assert fixture.directory.place("s1") == before
        assert is_open(before.kept)


async def test_start_after_a_drain_closes_what_was_drained() -> None:
    async with following() as fixture:
        await fixture.hear("session", view("stopping"))
        before = fixture.directory.place("s1").kept
        fixture.directory.start_soon("s1")
        assert is_open(before)
        await fixture.hear("session", view("starting", generation=2))

        assert not is_open(before)


async def test_orchestrator_that_looks_around_cuts_no_frozen_session() -> None:
    async with following() as fixture:
        await fixture.hear("session", view("frozen"))
        before = fixture.directory.place("s1")
        fixture.orchestrator.stream.put_nowait(("session", view("starting", phase="checking")))
        await fixture.hear("session", view("frozen", why="It was found."))

        assert fixture.directory.place("s1").kept is before.kept
        assert is_open(before.kept)


async def test_who_watches_is_told_as_well() -> None:
    async with following() as fixture:
        watched: list[State] = []
        fixture.directory.watch(lambda _, place: watched.append(place.state))
        await fixture.hear("session", view("frozen"))

        assert watched == [State.FROZEN]


async def test_interrupted_turns_and_version_are_known() -> None:
    async with following() as fixture:
        told = {"directory": "/workspace", "payload": {"type": "session.error"}}
        await fixture.hear("session", view(version="1.18.33", interrupted=[told]))

        place = fixture.directory.place("s1")
        assert place.version == "1.18.33"
        assert place.interrupted == (Interruption("/workspace", '{"type":"session.error"}'),)


async def test_late_view_of_an_older_generation_is_ignored() -> None:
    async with following() as fixture:
        await fixture.hear("session", view(generation=2))
        fixture.orchestrator.stream.put_nowait(("session", view("failed", generation=1)))
        await fixture.hear("session", view("stopped", generation=2))

        assert fixture.changes == [("s1", State.READY), ("s1", State.STOPPED)]


async def test_orchestrator_that_was_restarted_and_looks_around_cuts_nothing() -> None:
    async with following() as fixture:
        await fixture.hear("session", view())
        before = fixture.directory.place("s1").upstream
        fixture.orchestrator.stream.put_nowait(
            ("snapshot", {"sessions": [view("starting", phase="checking")]})
        )
        await fixture.hear("session", view(why="It was found."))

        assert fixture.directory.place("s1").upstream is before
        assert fixture.changes == [("s1", State.READY), ("s1", State.READY)]


async def test_session_missing_from_a_snapshot_is_forgotten() -> None:
    async with following() as fixture:
        await fixture.hear("session", view())
        await fixture.hear("snapshot", {"sessions": [{**view(), "session_id": "s2"}]})

        assert fixture.directory.place("s1").state is State.NEW


async def test_all_who_ask_join_one_start() -> None:
    fixture = Fixture()
    async with asyncio.TaskGroup() as group:
        waiters = [group.create_task(fixture.directory.ensure("s1")) for _ in range(50)]
        fixture.orchestrator.answers.put_nowait(view())

    assert len(fixture.orchestrator.orders) == 1
    assert all(waiter.result().state is State.READY for waiter in waiters)


async def test_a_waiter_that_leaves_does_not_end_the_start() -> None:
    fixture = Fixture()
    async with asyncio.TaskGroup() as group:
        stays = group.create_task(fixture.directory.ensure("s1"))
        leaves = group.create_task(fixture.directory.ensure("s1"))
        await asyncio.sleep(0)
        leaves.cancel()
        fixture.orchestrator.answers.put_nowait(view())

    assert stays.result().upstream is not None


async def test_failed_start_raises_what_the_orchestrator_said() -> None:
    fixture = Fixture()
    fixture.orchestrator.answers.put_nowait(GatewayError("container_failed", "It broke."))

    with pytest.raises(GatewayError, match=r"It broke\."):
        await fixture.directory.ensure("s1")


async def test_next_start_after_a_failure_asks_again() -> None:
    fixture = Fixture()
    fixture.orchestrator.answers.put_nowait(GatewayError("container_failed", "It broke."))
    fixture.orchestrator.answers.put_nowait(view())
    with suppress(GatewayError):
        await fixture.directory.ensure("s1")

    place = await fixture.directory.ensure("s1")

    assert place.upstream is not None


@pytest.mark.parametrize("code", ["token_unreadable", "image_not_allowed", "invalid_request"])
async def test_start_that_was_refused_is_known_with_its_sentence(
    code: str, caplog: pytest.LogCaptureFixture
) -> None:
    fixture = Fixture()
    fixture.orchestrator.answers.put_nowait(GatewayError(code, "This is why."))

    with suppress(GatewayError):
        await fixture.directory.ensure("s1")

    place = fixture.directory.place("s1")
    assert (place.state, place.why) == (State.FAILED, "This is why.")
    assert "This is why." in caplog.text


async def test_start_shows_from_its_first_moment() -> None:
    fixture = Fixture()

    fixture.directory.start_soon("s1")

    assert fixture.directory.place("s1").state is State.STARTING
    await fixture.tasks.aclose()


@pytest.mark.parametrize("code", ["orchestrator_unavailable", "session_removing"])
async def test_start_that_was_never_begun_leaves_the_place_as_it_was(code: str) -> None:
    fixture = Fixture()
    fixture.orchestrator.answers.put_nowait(GatewayError(code, "No."))

    with suppress(GatewayError):
        await fixture.directory.ensure("s1")

    assert fixture.directory.place("s1").state is State.NEW


async def test_failure_that_repeats_is_warned_of_again_only_when_it_changes_or_after_it_worked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away, asleep = (GatewayError("orchestrator_unavailable", why) for why in ("Away.", "Asleep."))
    async with following() as fixture:
        for tried in (away, away, asleep, view(), asleep, asleep):
            await fixture.hear("session", view("frozen"))
            fixture.orchestrator.answers.put_nowait(tried)
            with suppress(GatewayError):
                await fixture.directory.ensure("s1")
            await fixture.hear("session", view("frozen", why=f"After {tried}."))

    warned = [record.getMessage().rpartition("=")[2] for record in caplog.records]
    assert warned == ["'Away.'", "'Asleep.'", "'Asleep.'"]


@pytest.mark.parametrize(("force", "retried"), [(False, True), (True, False)])
async def test_start_that_nobody_asked_for_again_is_known_as_a_retry(
    force: bool, retried: bool
) -> None:
    async with following() as fixture:
        await fixture.hear("session", view("failed", retry_after_s=1.0))
        fixture.directory.start_soon("s1", force=force)
        await fixture.hear("session", view("starting", generation=2))

        assert fixture.directory.place("s1").did_not_start is retried


@pytest.mark.parametrize("strange", [view("melted"), {"session_id": "s1"}, {}])
async def test_event_that_is_not_understood_ends_nothing(strange: View) -> None:
    async with following() as fixture:
        await fixture.hear("session", view())
        fixture.orchestrator.stream.put_nowait(("session", strange))
        await fixture.hear("session", view("stopped"))

        assert fixture.directory.place("s1").state is State.STOPPED


async def test_failed_container_is_due_only_after_its_wait() -> None:
    async with following() as fixture:
        await fixture.hear("session", view("failed", retry_after_s=60.0))

        assert not fixture.directory.is_due("s1")


async def test_removed_session_is_forgotten_and_its_pool_closed() -> None:
    async with following() as fixture:
        await fixture.hear("session", view())
        upstream = fixture.directory.place("s1").upstream
        await fixture.directory.remove("s1")

        assert upstream is not None
        with pytest.raises(ConnectionRefusedError):
            await upstream.pool.connect()


async def test_who_watches_is_told_of_what_is_forgotten() -> None:
    async with following() as fixture:
        await fixture.hear("session", view("frozen"))
        await fixture.directory.remove("s1")

        assert fixture.changes == [("s1", State.FROZEN), ("s1", State.NEW)]


async def test_a_deleted_session_is_told_of() -> None:
    async with following() as fixture:
        await fixture.hear("session", view())
        await fixture.hear("session", view(state="removing"))
        fixture.orchestrator.stream.put_nowait(("removed", {"session_id": "s1"}))
        await fixture.hear("session", view(session_id="s2"))

        assert fixture.gone == ["s1"]
        assert fixture.directory.place("s1").state is State.NEW


async def test_a_deletion_that_ended_while_nobody_listened_is_told_of() -> None:
    async with following() as fixture:
        await fixture.hear("session", view(state="removing"))
        await fixture.hear("session", view(session_id="s2"))
        await fixture.hear("snapshot", {"sessions": [view(session_id="s3")]})

        assert fixture.gone == ["s1"]
