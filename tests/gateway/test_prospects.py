"""What a person reads of a container's life, sentence by sentence."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.prospects import clock, in_words, ordinal, span, why

NOW = datetime(2026, 11, 22, 14, 7, tzinfo=UTC)
ANSWERS = {"state": "ready", "why": "OpenCode answers."}


@pytest.mark.parametrize(
    ("view", "said"),
    [
        (ANSWERS, "OpenCode answers."),
        (
            {
                **ANSWERS,
                "next": {"action": "freeze", "at": "2026-11-22T14:11:00Z", "in_s": 240.0},
                "idle_since": "2026-11-22T14:02:00Z",
            },
            "OpenCode answers. It freezes in 4 min; nothing has run since 14:02 UTC.",
        ),
        (
            {**ANSWERS, "idle_since": "2026-11-22T14:02:00+00:00"},
            "OpenCode answers. Nothing has run since 14:02 UTC.",
        ),
        ({**ANSWERS, "busy": ["a turn is running"]}, "OpenCode answers. A turn is running."),
        (
            {
                **ANSWERS,
                "busy": ["a turn is running", "a question waits", "a terminal prints"],
                "idle_since": "2026-11-22T14:02:00Z",
            },
            "OpenCode answers. A turn is running, a question waits and a terminal prints.",
        ),
        (
            {**ANSWERS, "awake_until": "2026-11-22T15:30:00Z"},
            "OpenCode answers. Kept awake until 15:30 UTC.",
        ),
        (
            {
                "state": "frozen",
                "why": "Nothing ran for 5 min. A request wakes it.",
                "idle_since": "2026-11-22T13:57:00Z",
                "next": {"action": "stop", "at": "2026-11-22T16:02:00Z", "in_s": 6900},
            },
            "Nothing ran for 5 min. A request wakes it. It is stopped in 1 h 55 min.",
        ),
        (
            {
                "state": "stopped",
                "why": "It was stopped.",
                "awake_until": "2026-11-22T15:30:00Z",
            },
            "It was stopped.",
        ),
        (
            {
                "state": "stopped",
                "why": "It was stopped.",
                "next": {"action": "remove", "at": "2026-11-29T14:07:00Z", "in_s": 604800},
            },
            "It was stopped. Its container is removed in 7 days, its files stay.",
        ),
        (
            {"state": "new", "why": "Nothing has asked for it yet."},
            "Nothing has asked for it yet. The first request starts it.",
        ),
        (
            {"state": "starting", "why": "It waits.", "queue": {"place": 3, "of": 7}},
            "It is the 3rd of 7 waiting for a start.",
        ),
        ({"state": "starting", "why": "It boots.", "queue": None}, "It boots."),
        ({"state": "stopping", "why": "A turn may end first."}, "A turn may end first."),
        (
            {
                "state": "failed",
                "why": "The image is missing.",
                "next": {"action": "start", "at": "2026-11-22T14:07:08Z", "in_s": 8.2},
            },
            "The image is missing. A request can start it again in 8 s.",
        ),
        (
            {**ANSWERS, "next": {"action": "of a later version", "at": "", "in_s": 1}},
            "OpenCode answers.",
        ),
    ],
)
def test_why_says_what_happened_and_what_comes(view: dict[str, Any], said: str) -> None:
    assert why(view, NOW, fresh=True) == said


def test_what_was_only_known_is_told_as_such() -> None:
    assert why(ANSWERS, NOW, fresh=False) == (
        "OpenCode answers. The orchestrator does not answer now, so this may have changed."
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (30, "30 s"),
        (59.4, "59 s"),
        (59.5, "1 min"),
        (240, "4 min"),
        (150, "3 min"),
        (3569, "59 min"),
        (3570, "1 h"),
        (7200, "2 h"),
        (6900, "1 h 55 min"),
        (86_400, "24 h"),
        (172_800, "2 days"),
        (604_800, "7 days"),
    ],
)
def test_a_span_is_told_in_a_persons_units(seconds: float, said: str) -> None:
    assert span(seconds) == said


@given(st.floats(min_value=0, max_value=1e9))
def test_no_unit_is_told_where_the_next_one_would_be_right(seconds: float) -> None:
    assert span(seconds) not in ("60 s", "60 min")


def test_what_is_due_comes_in_a_moment() -> None:
    assert (in_words(0), in_words(0.6)) == ("in a moment", "in 1 s")


def test_a_time_of_another_day_names_the_day() -> None:
    assert clock(NOW, NOW) == "14:07 UTC"
    assert clock(NOW + timedelta(days=1), NOW) == "14:07 UTC on 23 Nov"


@pytest.mark.parametrize(
    ("number", "said"),
    [(1, "1st"), (2, "2nd"), (3, "3rd"), (4, "4th"), (11, "11th"), (13, "13th"), (22, "22nd")],
)
def test_a_place_is_an_ordinal(number: int, said: str) -> None:
    assert ordinal(number) == said
