"""How the commands tell of sessions: to programs by the line, to people as wide as they look."""

from argparse import ArgumentTypeError
from typing import Any

import pytest

from gateway.cli.sessions import duration_s, line, paragraph

ID = "0123456789abcdef" * 2
SESSION: dict[str, Any] = {
    "id": ID,
    "state": "ready",
    "title": "Fix the test",
    "why": "OpenCode answers. It freezes in 4 min; nothing has run since 14:02 UTC.",
}


def test_a_program_reads_one_line_with_the_id_first() -> None:
    told = line({**SESSION, "why": "It ended. It printed last:\none\n\ttwo\x1b[2J"})

    assert told.split("\t") == [
        ID,
        "ready",
        "Fix the test",
        "It ended. It printed last: one two [2J",
    ]


def test_a_person_reads_lines_that_fit_the_terminal() -> None:
    told = paragraph(SESSION, 60)

    assert told.splitlines() == [
        f"{ID}  ready     Fix the test",
        "    OpenCode answers. It freezes in 4 min; nothing has run",
        "    since 14:02 UTC.",
    ]


def test_a_long_title_ends_with_the_terminal() -> None:
    told = paragraph({**SESSION, "title": "x" * 200}, 80)

    assert max(len(each) for each in told.splitlines()) == 80


def test_what_is_being_stopped_is_not_called_stopped() -> None:
    told = line({**SESSION, "state": "stopped", "phase": "stopping"})

    assert told.split("\t")[1] == "stopping"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h", 3600), ("30m", 1800), ("30 min", 1800), ("90", 90), ("1.5h", 5400), ("1D", 86_400)],
)
def test_a_time_is_given_with_its_unit(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-1h", "1 week", "1e9h", "nan", "1h30m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="is no time such as"):
        duration_s(text)
