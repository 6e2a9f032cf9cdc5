"""A container as the gateway reads it: the shape, and what is told in which state."""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import anyio
import pytest

from orchestrator import opencode
from orchestrator.charge import Charge
from orchestrator.containers import Record, State
from orchestrator.ladder import Policy
from orchestrator.supervisor import Supervisor
from orchestrator.views import view
from tests.orchestrator.conftest import (
    KEY,
    SESSION,
    Clock,
    Run,
    order,
    terms,
    until_told,
)
from tests.orchestrator.fake_engine import FakeEngine

KEYS = {
    "session_id",
    "container",
    "container_id",
    "generation",
    "state",
    "phase",
    "why",
    "problem",
    "since",
    "image",
    "volume",
    "address",
    "credential",
    "workspace",
    "retry_after_s",
    "queue",
    "timings",
    "version",
    "busy",
    "idle_since",
    "memory_bytes",
    "interrupted",
    "next",
    "awake_until",
    "at_rest",
}
LADDER = terms(policy=Policy(300, 7200, 86400))


def seen(supervisor: Supervisor, clock: Clock, **changes: Any) -> dict[str, Any]:
    """The view of a record that differs from the session's own."""
    charge = Charge(replace(supervisor.record(SESSION), **changes), supervisor._tools)
    return view(charge, KEY, clock())


async def test_a_view_has_these_fields_and_no_other(run: Run, clock: Clock) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)

        assert set(supervisor.view(SESSION)) == KEYS


async def test_a_ready_one_tells_where_it_is_and_what_it_does_next(
    run: Run, engine: FakeEngine, clock: Clock
) -> None:
    async with run(LADDER) as supervisor:
        await supervisor.ensure(order(), force=False)
        await until_told(supervisor, lambda: supervisor.view(SESSION)["idle_since"] is not None)
        told = supervisor.view(SESSION)
        live = engine.containers[SESSION].seen

    assert live.address is not None
    assert told["address"] == {"host": live.address.host, "port": live.address.port}
    password = opencode.password(KEY, live.nonce)
    assert told["credential"] == {"username": "opencode", "password": password}
    assert (told["volume"], told["version"]) == (f"agent_{SESSION}", "1.18.33")
    assert (told["busy"], told["interrupted"], told["queue"]) == ([], [], None)
    assert told["next"]["action"] == "freeze"
    assert told["next"]["in_s"] == pytest.approx(300, abs=5)
    assert told["next"]["at"].startswith("2026-01-02T03:0")
    assert told["idle_since"].startswith("2026-01-02T03:04:0")


@pytest.mark.parametrize("state", State)
async def test_where_it_answers_is_told_only_while_its_server_lives(
    run: Run, clock: Clock, state: State
) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        told = seen(supervisor, clock, state=state)

    lives = state in (State.READY, State.FROZEN, State.STOPPING)
    shown = [told[name] is not None for name in ("address", "credential", "workspace")]
    assert shown == [lives] * 3


async def test_what_comes_next_for_a_stopped_one_is_counted_from_its_stop(
    run: Run, clock: Clock
) -> None:
    async with run(LADDER) as supervisor:
        await supervisor.ensure(order(), force=False)
        await supervisor.stop(SESSION)
        clock.pass_by(6400)
        told = supervisor.view(SESSION)

    at = "2026-01-03T03:04:05Z"
    assert told["next"] == {"action": "remove", "at": at, "in_s": 80000.0}


async def test_how_long_it_is_kept_awake_is_told_until_it_is_over(run: Run, clock: Clock) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        until = clock() + timedelta(seconds=60)

        assert seen(supervisor, clock, awake_until=until)["awake_until"] == "2026-01-02T03:05:05Z"
        clock.pass_by(60)
        assert seen(supervisor, clock, awake_until=until)["awake_until"] is None


async def test_who_waits_in_the_queue_is_told_the_place_as_it_moves_up(
    run: Run, engine: FakeEngine
) -> None:
    engine.hold("create")
    places: dict[str, dict[int, None]] = defaultdict(dict)
    async with run(terms(starts_at_once=1)) as supervisor, supervisor.listening() as listener:
        async with anyio.create_task_group() as group:
            for number in range(4):
                each = order(f"{number:032x}", user_id=f"{number:032x}")
                group.start_soon(partial(supervisor.ensure, each, force=False))
                await anyio.lowlevel.checkpoint()
            await engine.reached("create")
            with anyio.fail_after(5):
                while supervisor._queue.waiting < 3:
                    await anyio.lowlevel.checkpoint()
            engine.release("create")
        supervisor.end_listening()
        told = [change[1] async for change in listener.changes(60) if change]

    for seen in told:
        if seen.get("queue") is not None:
            places[seen["session_id"]][seen["queue"]["place"]] = None
    assert [3, 2, 1] in [list(stood) for stood in places.values()]


async def test_a_failed_one_says_when_it_may_be_started_again(run: Run, clock: Clock) -> None:
    async with run() as supervisor:
        await supervisor.ensure(order(), force=False)
        retry_at = clock() + timedelta(seconds=4)
        told = seen(supervisor, clock, state=State.FAILED, problem="p", retry_at=retry_at)

    assert told["retry_after_s"] == 4.0


async def test_a_new_one_has_nothing_to_tell(run: Run, clock: Clock) -> None:
    async with run() as supervisor:
        record = Record(SESSION, 0, State.NEW, clock(), "It has not been started yet.", "image")
        told = view(Charge(record, supervisor._tools), KEY, clock())

    nothing = {name for name, value in told.items() if value is None}
    assert {"address", "queue", "next", "idle_since", "memory_bytes", "version"} <= nothing
    assert (told["busy"], told["interrupted"], told["volume"]) == ([], [], "")
