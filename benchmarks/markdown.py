"""A table in Markdown, and figures as it shows them; knows no figure."""

from collections.abc import Sequence

NONE = "-"


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *lines])


def shown(value: float | None) -> str:
    """Three digits are what such figures are worth; more than that are counted in full."""
    if value is None:
        return NONE
    return f"{value:,.1f}" if abs(value) < 100 and value % 1 else f"{value:,.0f}"


def ratio(value: float | None, other: float | None) -> str:
    return f"{value / other:.2f}" if value and other else NONE
