"""What an OpenCode server is busy with, from lines as it sends them."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.activity import PRINTS_FOR_S, SILENT_TURN_S, STRANGE_FOR_S, Activity
from orchestrator.events import read
from orchestrator.work import Seen
from tests.orchestrator import captured
from tests.orchestrator.captured import CONVERSATION, PERMISSION, TERMINAL, WORKSPACE

WAIT_S = 14_400.0


def after(*lines: bytes, at: float = 0.0) -> Activity:
    activity = Activity(0.0)
    for line in lines:
        tell(activity, line, at)
    return activity


def tell(activity: Activity, line: bytes, now: float) -> None:
    event = read(line)
    assert event is not None
    activity.happened(event, now)


@pytest.mark.parametrize(
    ("lines", "phrases"),
    [
        ([captured.BUSY], ["a turn is running"]),
        ([captured.BUSY, captured.BUSY, captured.DELTA], ["a turn is running"]),
        ([captured.BUSY, captured.IDLE], []),
        ([captured.BUSY, captured.ENDED], []),
        ([captured.BUSY, captured.RETRY], ["a turn is being retried"]),
        ([captured.BUSY, captured.RETRY, captured.BUSY], ["a turn is running"]),
        ([captured.BUSY, captured.PERMISSION_ASKED], ["a permission is waiting"]),
        (
            [captured.BUSY, captured.PERMISSION_ASKED, captured.PERMISSION_REPLIED],
            ["a turn is running"],
        ),
        ([captured.BUSY, captured.QUESTION_ASKED], ["a question is waiting"]),
        (
            [captured.BUSY, captured.QUESTION_ASKED, captured.QUESTION_REPLIED],
            ["a turn is running"],
        ),
        (
            [captured.BUSY, captured.QUESTION_ASKED, captured.QUESTION_REJECTED],
            ["a turn is running"],
        ),
        ([captured.BUSY, captured.SUB_AGENT_BUSY], ["2 turns are running"]),
        ([captured.TERMINAL_CREATED, captured.TERMINAL_UPDATED], []),
        ([captured.STEP_STARTED], ["a turn is running"]),
        ([captured.STEP_STARTED, captured.STEP_FAILED], []),
        ([captured.BUSY, captured.DISPOSED], []),
        ([captured.BUSY, captured.PERMISSION_ASKED, captured.ALL_DISPOSED], []),
    ],
)
def test_what_it_is_busy_with(lines: list[bytes], phrases: list[str]) -> None:
    assert after(*lines).busy(0.0, WAIT_S) == phrases


def test_an_aborted_turn_takes_its_unanswered_permission_along() -> None:
    activity = after(captured.BUSY, captured.PERMISSION_ASKED, captured.IDLE)

    assert activity.busy(0.0, WAIT_S) == []


def test_a_question_keeps_it_busy_only_for_its_time_and_its_turn_no_longer() -> None:
    activity = after(captured.BUSY, captured.QUESTION_ASKED)

    assert activity.busy(WAIT_S, WAIT_S) == ["a question is waiting"]
    assert activity.busy(WAIT_S + 1, WAIT_S) == []


def test_a_sub_agents_permission_is_what_its_parent_waits_for() -> None:
    activity = after(
        captured.BUSY,
        captured.SUB_AGENT_CREATED,
        captured.SUB_AGENT_BUSY,
        captured.SUB_AGENT_ASKED,
    )

    assert activity.busy(0.0, WAIT_S) == ["a permission is waiting"]
    assert activity.busy(WAIT_S + 1, WAIT_S) == []


@pytest.mark.parametrize("line", captured.WORK)
def test_work_is_activity(line: bytes) -> None:
    assert after(line, at=7.0).last == 7.0


@pytest.mark.parametrize("line", captured.UNASKED)
def test_what_a_server_sends_unasked_is_none(line: bytes) -> None:
    activity = after(line, at=7.0)

    assert (activity.last, activity.what) == (0.0, "it was started")


def test_unknown_events_count_but_can_keep_nothing_awake_for_ever() -> None:
    activity = after(captured.BUSY)
    for now in range(0, int(SILENT_TURN_S) + 20, 10):
        tell(activity, captured.sent("session.pulse", sessionID=CONVERSATION), now)

    assert activity.last == STRANGE_FOR_S
    assert activity.busy(now, WAIT_S) == []


def test_what_others_report_is_activity_and_says_what() -> None:
    activity = Activity(0.0)
    activity.touched("a request", 5.0)

    assert (activity.last, activity.what) == (5.0, "a request")


def test_a_status_that_sticks_at_busy_is_not_believed_for_ever() -> None:
    activity = after(captured.BUSY)

    assert activity.busy(SILENT_TURN_S, WAIT_S) == ["a turn is running"]
    assert activity.busy(SILENT_TURN_S + 1, WAIT_S) == []


def test_a_silent_turn_that_uses_the_processor_is_believed() -> None:
    activity = after(captured.BUSY)
    activity.computed(10.0, SILENT_TURN_S - 60)
    activity.computed(40.0, SILENT_TURN_S)

    assert activity.busy(2 * SILENT_TURN_S, WAIT_S) == ["a turn is running"]


def test_a_resting_processor_keeps_no_silent_turn_alive() -> None:
    activity = after(captured.BUSY)
    activity.computed(10.0, SILENT_TURN_S - 60)
    activity.computed(12.0, SILENT_TURN_S)

    assert activity.busy(SILENT_TURN_S + 1, WAIT_S) == []


def test_any_word_of_its_conversation_keeps_a_long_turn_alive() -> None:
    activity = after(captured.BUSY)
    tell(activity, captured.DELTA, SILENT_TURN_S)

    assert activity.busy(2 * SILENT_TURN_S, WAIT_S) == ["a turn is running"]


def test_a_terminal_prints_when_its_cursor_has_grown() -> None:
    activity = after(captured.TERMINAL_CREATED)
    activity.looked({TERMINAL: 10}, 10.0)
    activity.looked({TERMINAL: 10}, 400.0)
    quiet = (activity.last, activity.busy(400.0, WAIT_S))
    activity.looked({TERMINAL: 11}, 800.0)

    assert quiet == (10.0, [])
    assert (activity.last, activity.busy(800.0, WAIT_S)) == (800.0, ["a terminal prints"])
    assert activity.busy(801.0 + PRINTS_FOR_S, WAIT_S) == []


@pytest.mark.parametrize("end", [captured.TERMINAL_EXITED, captured.TERMINAL_DELETED])
def test_a_terminal_that_has_ended_is_forgotten(end: bytes) -> None:
    assert after(captured.TERMINAL_CREATED, end).work.terminals == {}


@pytest.mark.parametrize("seen_again", [captured.TERMINAL_UPDATED, None])
def test_a_terminal_that_is_told_of_again_has_not_printed(seen_again: bytes | None) -> None:
    activity = after(captured.TERMINAL_CREATED)
    activity.looked({TERMINAL: 10}, 10.0)
    if seen_again is None:
        activity.seeded(seen(), 20.0)
    else:
        tell(activity, seen_again, 20.0)
    activity.looked({TERMINAL: 10}, 400.0)

    assert activity.last < 400.0


def test_a_terminal_that_has_gone_meanwhile_is_not_looked_at() -> None:
    activity = after(captured.TERMINAL_CREATED, captured.TERMINAL_DELETED)
    activity.looked({TERMINAL: 10}, 10.0)

    assert activity.last == 0.0


def seen(directory: str = WORKSPACE, *, asks: bool = False, works: bool = True) -> Seen:
    asked = [json.loads(captured.PERMISSION_ASKED[6:])["payload"]["properties"]] if asks else []
    status = {CONVERSATION: {"type": "busy"}} if works else {}
    return Seen(directory, status, asked, [], [{"id": TERMINAL, "status": "running"}])


def test_a_picture_of_a_directory_replaces_what_was_known_of_it_only() -> None:
    activity = after(captured.BUSY, captured.sent("pty.created", "/other", info={"id": "p2"}))
    tell(activity, captured.sent("session.status", "/o", sessionID="s", status={"type": "busy"}), 0)
    activity.seeded(seen(works=False), 5.0)

    assert activity.busy(5.0, WAIT_S) == ["a turn is running"]
    assert set(activity.work.terminals) == {TERMINAL}
    assert activity.last == 0.0


def test_a_permission_found_again_has_waited_since_it_was_asked() -> None:
    activity = after(captured.BUSY, captured.PERMISSION_ASKED)
    activity.seeded(seen(asks=True), WAIT_S)

    assert activity.work.asks[PERMISSION].since == 0.0


def test_a_permission_left_over_from_an_aborted_turn_is_not_waiting() -> None:
    activity = Activity(0.0)
    activity.seeded(seen(asks=True, works=False), 0.0)

    assert activity.busy(0.0, WAIT_S) == []


def test_the_conversations_at_work_since_the_boot_are_remembered() -> None:
    assert after(captured.BUSY, captured.IDLE).work.begun == {CONVERSATION}


lines = st.lists(st.sampled_from(captured.WORK + captured.UNASKED))
times = st.floats(min_value=0, max_value=1e6)


@given(st.lists(st.tuples(st.sampled_from(captured.WORK + captured.UNASKED), times)))
def test_any_order_of_events_ends_idle_when_everything_has_ended(
    story: list[tuple[bytes, float]],
) -> None:
    activity = Activity(0.0)
    for line, now in story:
        tell(activity, line, now)
        activity.busy(now, WAIT_S)
    for line in captured.ENDS:
        tell(activity, line, 1e6)

    assert activity.busy(1e6, math.inf) == []


@given(lines, st.floats(min_value=0, max_value=1e6))
def test_without_a_word_from_it_nothing_is_busy_for_ever(story: list[bytes], at: float) -> None:
    activity = after(*story, at=at)

    assert activity.busy(at + max(SILENT_TURN_S, WAIT_S) + 1, WAIT_S) == []


@given(st.lists(st.tuples(st.sampled_from(captured.WORK + captured.UNASKED), times)))
def test_the_last_activity_never_goes_back(story: list[tuple[bytes, float]]) -> None:
    activity = Activity(0.0)
    for line, now in story:
        before = activity.last
        tell(activity, line, now)
        assert activity.last >= before
