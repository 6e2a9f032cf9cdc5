"""Rounds that alternate between the rows, and the medians over them; knows no row and no figure."""

from collections.abc import Callable, Iterable
from statistics import median

Figures = dict[str, float]


def alternate(
    title: str, rows: Iterable[str], rounds: int, measure: Callable[[str], Figures]
) -> dict[str, Figures]:
    """Measure every row once in each round; return each figure's median.

    A first round is measured and dropped: caches fill, and interpreters learn what they run.
    """
    found: dict[str, list[Figures]] = {row: [] for row in rows}
    for number in range(rounds + 1):
        for row, kept in found.items():
            figures = measure(row)
            name = f"round {number} of {rounds}" if number else "warming up"
            shown = "   ".join(f"{key} {value:,.1f}" for key, value in figures.items())
            print(f"  {title}, {name}: {row:24} {shown}", flush=True)
            if number:
                kept.append(figures)
    return {row: _medians(kept) for row, kept in found.items()}


def _medians(kept: list[Figures]) -> Figures:
    return {key: median(figures[key] for figures in kept) for key in kept[0]}
