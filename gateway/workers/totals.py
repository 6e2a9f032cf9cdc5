"""What several workers counted, folded into one snapshot that stands for them all.

It goes by the shapes alone, so that a parent can fold what workers of a newer version counted:
lists of labels with a number at the end, and for each route a list of numbers with their sum.
"""

from collections.abc import Iterable, Mapping
from itertools import zip_longest
from typing import Any

Snapshot = dict[str, Any]


def folded(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Sum the snapshots of workers that have ended. What they said of their state says nothing
    about now, so a yes stands in its place."""
    total: Snapshot = {}
    for snapshot in snapshots:
        for name, counted in snapshot.items():
            total[name] = _added(total.get(name), counted)
    return total


def _added(before: Any, counted: Any) -> Any:
    match counted:
        case bool():
            return True
        case list():
            return _labelled(before or [], counted)
        case Mapping():
            known = before or {}
            return {**known, **{key: _timed(known.get(key), told) for key, told in counted.items()}}
    return (before or 0) + counted


def _labelled(before: list[Any], counted: list[Any]) -> list[Any]:
    sums: dict[tuple[Any, ...], float] = {}
    for *labels, number in [*before, *counted]:
        sums[tuple(labels)] = sums.get(tuple(labels), 0) + number
    return [[*labels, number] for labels, number in sums.items()]


def _timed(before: Any, told: Any) -> Any:
    if before is None:
        return told
    counts = [a + b for a, b in zip_longest(before[0], told[0], fillvalue=0)]
    return [counts, before[1] + told[1]]
