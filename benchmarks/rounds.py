"""Rounds that alternate between the rows, and the medians over them; knows no row and no figure."""

from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

Figures = dict[str, float]
# What a measurement finds, by the keys of the results file.
Results = dict[str, dict[str, Any]]
# Of the figures that are no time: what a progress line calls them, and how it shows them.
_FORMS = {
    "per_s": ("per second", "{:,.0f}"),
    "mb_per_s": ("MB/s", "{:,.0f}"),
    "kib": ("KiB", "{:,.1f}"),
    "busy": ("proxy busy", "{:.0%}"),
    "load": ("load busy", "{:.0%}"),
    "cpu_us": ("cost", "{:,.2f} µs"),
}


def alternate(
    title: str,
    rows: Iterable[str],
    rounds: int,
    measure: Callable[[str], Figures],
    *,
    warm_up: bool = True,
) -> dict[str, Figures]:
    """Measure every row once in each round; return each figure's median.

    A round to warm up is measured and dropped: caches fill, and interpreters learn what they run.
    """
    found: dict[str, list[Figures]] = {row: [] for row in rows}
    for number in range(0 if warm_up else 1, rounds + 1):
        for row, kept in found.items():
            figures = measure(row)
            name = f"round {number} of {rounds}" if number else "warming up"
            shown = "   ".join(_shown(key, value) for key, value in figures.items())
            print(f"  {title}, {name}: {row:24} {shown}", flush=True)
            if number:
                kept.append(figures)
    return {row: _medians(kept) for row, kept in found.items()}


def _shown(key: str, value: float) -> str:
    """With the unit that the key is of: shares of a core are percents, most others are µs."""
    name, form = _FORMS.get(key, (key, "{:,.0f} µs"))
    return f"{name} {form.format(value)}"


def _medians(kept: list[Figures]) -> Figures:
    return {key: median(figures[key] for figures in kept) for key in kept[0]}


def merged(*parts: Results) -> Results:
    """Return one of several results; what has the same key is put side by side."""
    whole: Results = {}
    for part in parts:
        for key, value in part.items():
            whole.setdefault(key, {}).update(value)
    return whole


def figure(found: dict[str, Figures], key: str, digits: int = 0) -> dict[str, float]:
    """Return one of the figures for every row, with no more digits than it is worth."""
    return {row: _rounded(figures[key], digits) for row, figures in found.items()}


def percentiles(found: dict[str, Figures], digits: int = 0) -> dict[str, Figures]:
    return {
        row: {key: _rounded(figures[key], digits) for key in ("p50", "p99")}
        for row, figures in found.items()
    }


def _rounded(value: float, digits: int) -> float:
    return round(value, digits) if digits else round(value)
