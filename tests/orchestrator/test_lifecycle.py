"""The table, and what may never leave it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import lifecycle
from orchestrator.containers import Address, Observation, Record, State, Timings
from orchestrator.lifecycle import TRANSITIONS, Action, Event, IllegalTransition, Way

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SEEN = Observation("s", "c1", "nonce", "made", True, "boot-1", Address("127.0.0.1", 1))
ENDED = replace(SEEN, running=False, address=None, end="It ended by itself with exit code 1.")

HAPPENINGS = {
    Event.START_ASKED: lambda record: lifecycle.asked_to_start(record, "image", NOW),
    Event.ANSWERED: lambda record: lifecycle.answered(record, SEEN, Timings(), NOW),
    Event.START_FAILED: lambda record: lifecycle.start_failed(record, "start_timeout", "w", NOW),
    Event.GONE: lambda record: lifecycle.gone(record, "why", NOW),
    Event.SILENT: lambda record: lifecycle.fell_silent(record, "why", NOW),
    Event.LOST_SIGHT: lambda record: lifecycle.lost_sight(record, NOW),
    Event.STOP_ASKED: lambda record: lifecycle.asked_to_stop(record, NOW),
    Event.STOPPED: lambda record: lifecycle.stopped(record, NOW),
    Event.REMOVE_ASKED: lambda record: lifecycle.asked_to_remove(record, NOW),
}


def in_state(state: State) -> Record:
    live = SEEN if state is State.READY else None
    return Record("s", 3, state, NOW, "why", "image", container_id="c1", live=live)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_event_in_every_state_follows_the_table_or_is_refused(
    state: State, event: Event
) -> None:
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
def test_whatever_happens_a_record_that_is_not_ready_shows_no_address(events: list[Event]) -> None:
    record = lifecycle.born("s", "image", NOW)
    for event in events:
        if lifecycle.allows(record.state, event):
            record = HAPPENINGS[event](record)
        assert (record.live is not None) == (record.state is State.READY)


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

    again = lifecycle.asked_to_start(failed, "image", NOW)
    ready = lifecycle.answered(again, SEEN, Timings(), NOW)
    assert (ready.failures, ready.retry_at, ready.problem) == (0, None, None)


def test_an_engine_that_slept_may_be_asked_again_soon() -> None:
    tired = replace(in_state(State.STARTING), failures=9)

    failed = lifecycle.start_failed(tired, "engine_unavailable", "It sleeps.", NOW)
    assert failed.retry_at == NOW + timedelta(seconds=1)


RESTARTED = replace(SEEN, boot="boot-2")
REPLACED = replace(SEEN, container_id="c2")


@pytest.mark.parametrize(
    ("state", "seen", "action"),
    [
        (State.NEW, None, Action.NOTHING),
        (State.STARTING, None, Action.MARK_GONE),
        (State.STARTING, ENDED, Action.MARK_GONE),
        (State.STARTING, SEEN, Action.ADOPT),
        (State.READY, SEEN, Action.NOTHING),
        (State.READY, None, Action.MARK_GONE),
        (State.READY, ENDED, Action.MARK_GONE),
        (State.READY, RESTARTED, Action.MARK_GONE),
        (State.READY, REPLACED, Action.MARK_GONE),
        (State.STOPPING, SEEN, Action.FINISH_STOP),
        (State.STOPPING, None, Action.FINISH_STOP),
        (State.STOPPED, ENDED, Action.NOTHING),
        (State.FAILED, SEEN, Action.NOTHING),
        (State.REMOVING, SEEN, Action.FINISH_REMOVAL),
        (State.REMOVING, None, Action.FINISH_REMOVAL),
    ],
)
def test_what_an_observation_calls_for(
    state: State, seen: Observation | None, action: Action
) -> None:
    assert lifecycle.plan(in_state(state), seen) is action


@pytest.mark.parametrize(
    ("seen", "fingerprint", "way"),
    [
        (None, "made", Way.CREATE),
        (ENDED, "made", Way.START),
        (SEEN, "made", Way.RESTART),
        (ENDED, "made otherwise", Way.REPLACE),
        (SEEN, "made otherwise", Way.REPLACE),
    ],
)
def test_the_way_to_a_running_container(
    seen: Observation | None, fingerprint: str, way: Way
) -> None:
    assert lifecycle.way_to_start(seen, fingerprint) is way
