"""The table, and what may never leave it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import lifecycle
from orchestrator.containers import (
    Address,
    Agent,
    Limits,
    Observation,
    Order,
    Record,
    State,
    Timings,
)
from orchestrator.lifecycle import TRANSITIONS, Event, IllegalTransition

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SEEN = Observation(
    "s", "c1", "nonce", "made", True, "boot-1", "agent_s", address=Address("127.0.0.1", 1)
)

ORDER = Order("s", "u", Agent("a", "openai", None, None, None), "t", "image", Limits(1, 1.0, 1))
Happening = Callable[[Record], Record]
HAPPENINGS: dict[Event, Happening] = {
    Event.START_ASKED: lambda record: lifecycle.asked_to_start(record, ORDER, NOW),
    Event.ANSWERED: lambda record: lifecycle.answered(record, SEEN, Timings(), NOW),
    Event.START_FAILED: lambda record: lifecycle.start_failed(record, "start_timeout", "w", NOW),
    Event.FROZEN: lambda record: lifecycle.frozen(record, "why", NOW),
    Event.THAWED: lambda record: lifecycle.thawed(record, SEEN, NOW),
    Event.GONE: lambda record: lifecycle.ended(replace(record, crashes=0), "It ended.", NOW),
    Event.CRASHED: lambda record: lifecycle.ended(replace(record, crashes=1), "It ended.", NOW),
    Event.SILENT: lambda record: lifecycle.fell_silent(record, "why", NOW),
    Event.LOST_SIGHT: lambda record: lifecycle.lost_sight(record, NOW),
    Event.STOP_ASKED: lambda record: lifecycle.asked_to_stop(record, "why", NOW),
    Event.STOPPED: lambda record: lifecycle.stopped(record, "why", NOW, orderly=True),
    Event.REMOVE_ASKED: lambda record: lifecycle.asked_to_remove(record, NOW),
}
LIVES = (State.READY, State.FROZEN)


def in_state(state: State) -> Record:
    live = SEEN if state in LIVES else None
    return Record("s", 3, state, NOW, "why", "image", container_id="c1", live=live)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_event_in_every_state_follows_the_table_or_is_refused(
    state: State, event: Event
) -> None:
    if event is Event.CRASHED and state is State.STARTING:
        return  # whatever ended before, a start that ends is no crash
    if event in TRANSITIONS[state]:
        assert HAPPENINGS[event](in_state(state)).state is TRANSITIONS[state][event]
    else:
        with pytest.raises(IllegalTransition):
            HAPPENINGS[event](in_state(state))


def test_every_state_but_new_can_be_reached_and_every_state_can_be_removed() -> None:
    reached = {after for row in TRANSITIONS.values() for after in row.values()}
    assert reached == set(State) - {State.NEW}
    assert all(State.REMOVING in TRANSITIONS[state].values() for state in reached - {"removing"})


@given(st.lists(st.sampled_from(list(Event))))
def test_whatever_happens_only_a_server_that_lives_is_shown(events: list[Event]) -> None:
    record = lifecycle.born("s", "image", NOW)
    for event in events:
        before = record
        if lifecycle.allows(record.state, event):
            record = HAPPENINGS[event](record)
        if record.state in LIVES:
            assert record.live is not None
        elif record.state is State.STOPPING:
            assert record.live == before.live
        else:
            assert record.live is None


@given(st.lists(st.sampled_from(list(Event))))
def test_generations_count_the_starts(events: list[Event]) -> None:
    record, starts = lifecycle.born("s", "image", NOW), 0
    for event in events:
        if lifecycle.allows(record.state, event):
            starts += event is Event.START_ASKED
            record = HAPPENINGS[event](record)
    assert record.generation == starts


@pytest.mark.parametrize(
    ("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (8, 60), (10_000, 60)]
)
def test_each_failure_doubles_the_wait_up_to_a_minute(failures: int, seconds: int) -> None:
    assert lifecycle.wait_after(failures) == seconds


def test_a_failed_start_names_its_next_chance_and_a_good_one_forgets_all_failures() -> None:
    failed = lifecycle.start_failed(in_state(State.STARTING), "start_timeout", "slow", NOW)
    assert (failed.failures, failed.retry_at) == (1, NOW + timedelta(seconds=1))

    again = lifecycle.asked_to_start(failed, ORDER, NOW)
    ready = lifecycle.answered(again, SEEN, Timings(), NOW)
    assert (ready.failures, ready.retry_at, ready.problem) == (0, None, None)


def test_an_engine_that_slept_may_be_asked_again_soon() -> None:
    tired = replace(in_state(State.STARTING), failures=9)

    failed = lifecycle.start_failed(tired, "engine_unavailable", "It sleeps.", NOW)
    assert failed.retry_at == NOW + timedelta(seconds=1)


def test_a_start_notes_whose_it_is_and_keeps_the_volume_it_has() -> None:
    first = lifecycle.asked_to_start(lifecycle.born("s", "", NOW), ORDER, NOW)
    assert (first.user_id, first.image, first.volume) == ("u", "image", "agent_s")

    stopped = replace(in_state(State.STOPPED), volume="agent_spare_1")
    assert lifecycle.asked_to_start(stopped, ORDER, NOW).volume == "agent_spare_1"


def test_a_failed_claim_leaves_the_volume_and_not_the_spare() -> None:
    claiming = lifecycle.claiming(in_state(State.STARTING), "spare_1", "agent_spare_1")
    failed = lifecycle.claim_failed(claiming)

    assert (claiming.claimed, claiming.volume) == ("spare_1", "agent_spare_1")
    assert (failed.claimed, failed.volume) == (None, "agent_spare_1")


@pytest.mark.parametrize("end", [Event.ANSWERED, Event.GONE, Event.STOP_ASKED])
def test_no_claim_outlives_the_start_it_belongs_to(end: Event) -> None:
    claiming = lifecycle.claiming(in_state(State.STARTING), "spare_1", "agent_spare_1")
    record = HAPPENINGS[end](claiming)
    if end is Event.STOP_ASKED:
        record = HAPPENINGS[Event.STOPPED](record)

    assert record.claimed is None


def test_ends_in_a_row_wait_ever_longer_until_it_is_left_as_it_is() -> None:
    ends = []
    record = in_state(State.READY)
    for _ in range(5):
        record = lifecycle.ended(record, "It ended by signal 9.", NOW)
        ends.append((record.state, record.problem, lifecycle.retry_after_s(record, NOW)))
        record = replace(record, state=State.READY, live=SEEN)

    assert ends == [
        (State.STOPPED, None, 0),
        (State.FAILED, "container_failed", 1),
        (State.FAILED, "container_failed", 2),
        (State.FAILED, "container_failed", 4),
        (State.FAILED, "crash_loop", 0),
    ]
    assert "It ended 5 times soon after it was ready" in record.why


def test_only_force_starts_what_was_left_as_it_is() -> None:
    looping = replace(in_state(State.FAILED), problem="crash_loop")

    assert lifecycle.is_too_early(looping, NOW + timedelta(days=365))


def test_who_lived_long_counts_anew() -> None:
    record = replace(in_state(State.READY), crashes=4)

    ended = lifecycle.ended(record, "It ended.", NOW + timedelta(seconds=600))
    assert (ended.state, ended.crashes) == (State.STOPPED, 1)


def test_a_stop_that_was_asked_for_forgets_what_went_wrong() -> None:
    wrong = replace(
        in_state(State.STOPPING), crashes=4, failures=2, problem="crash_loop", awake_until=NOW
    )
    stopped = lifecycle.stopped(wrong, "why", NOW, orderly=False)

    assert (stopped.crashes, stopped.failures, stopped.problem) == (0, 0, None)
    assert (stopped.awake_until, stopped.orderly) == (None, False)


def test_a_clock_that_was_set_back_makes_nobody_wait() -> None:
    failed = lifecycle.start_failed(in_state(State.STARTING), "start_timeout", "slow", NOW)

    assert lifecycle.retry_after_s(failed, NOW - timedelta(days=1)) == 0
