"""How rounds are put in order and what is kept of them."""

from itertools import count

import pytest

from benchmarks.rounds import Figures, alternate, merged


def test_rounds_alternate_between_the_rows() -> None:
    asked: list[str] = []

    def measure(row: str) -> Figures:
        asked.append(row)
        return {"per_s": 1.0}

    alternate("anything", ["a", "b"], 2, measure, warm_up=False)

    assert asked == ["a", "b", "a", "b"]


def test_the_median_of_the_rounds_is_kept() -> None:
    figures = iter([5.0, 900.0, 7.0])

    found = alternate("anything", ["a"], 3, lambda _row: {"x": next(figures)}, warm_up=False)

    assert found == {"a": {"x": 7.0}}


def test_the_round_to_warm_up_is_dropped() -> None:
    numbers = count()

    found = alternate("anything", ["a"], 1, lambda _row: {"x": float(next(numbers))})

    assert found == {"a": {"x": 1.0}}


def test_results_of_one_key_are_put_side_by_side() -> None:
    assert merged({"cost": {"a": 1}}, {"cost": {"b": 2}}) == {"cost": {"a": 1, "b": 2}}


def test_progress_is_shown_with_units(capsys: pytest.CaptureFixture[str]) -> None:
    figures = {"per_s": 1234.5, "p50": 61.4, "busy": 0.98}

    alternate("anything", ["a"], 1, lambda _row: figures, warm_up=False)

    assert capsys.readouterr().out.endswith("per second 1,234   p50 61 µs   proxy busy 98%\n")
