"""Tables of containers' lives: how soon they answer, where time goes, what they hold; pure."""

from collections.abc import Mapping
from typing import Any

from benchmarks.markdown import NONE, ratio, shown, table

Results = Mapping[str, Any]
# Of each way to a first byte: what it is called, its key, and the key of what stands beside it.
_SESSION = (
    ("new, from the pool", "first_byte_new_ms", None),
    ("frozen", "first_byte_frozen_ms", "bare_wake_ms"),
    ("new, without a pool", "first_byte_new_without_pool_ms", "bare_start_ms"),
    ("stopped", "first_byte_stopped_ms", "bare_start_stopped_ms"),
)
# What the parts of a start are called, in the order in which they pass.
_PARTS = {
    "whole": "whole",
    "queued": "in the queue",
    "created": "created, or told its agent",
    "booted": "booted, or loaded anew",
    "checked": "checked",
    "beside": "all else",
    "answered": "answered",
}
_MIB_IN_GIB = 1024


def session(results: Results) -> str:
    """The first byte of an answer, beside what the engine and OpenCode take by themselves."""
    found = results["session"]
    lines = [_first_byte(title, found[key], found.get(beside)) for title, key, beside in _SESSION]
    head = ["a session that is", "p50, ms", "p99, ms", "rounds", "bare p50, ms", "p50 ÷ bare"]
    return table(head, lines)


def starts(results: Results) -> str:
    """Where the time until the first byte goes; medians, so that parts need not add up."""
    found = results["session_parts_ms"]
    lines = [[way, *(shown(parts.get(part)) for part in _PARTS)] for way, parts in found.items()]
    return table(["ms", *_PARTS.values()], lines)


def density(results: Results) -> str:
    """What one session of ten holds, and how busy all ten keep one core."""
    lines = [_held(state, found) for state, found in results["density"].items()]
    return table(
        [
            "each of ten sessions",
            "its container, MiB",
            "less left on the machine, MiB",
            "sessions in a GiB",
            "all ten, of one core",
            "on disk, MiB",
        ],
        lines,
    )


def _first_byte(
    title: str, found: Mapping[str, float], beside: Mapping[str, float] | None
) -> list[str]:
    bare = None if beside is None else beside["p50"]
    percentiles = [shown(found["p50"]), shown(found["p99"])]
    return [title, *percentiles, shown(found["n"]), shown(bare), ratio(found["p50"], bare)]


def _held(state: str, found: Mapping[str, float]) -> list[str]:
    """Sessions are counted by their containers' memory: the machine's is others' as well."""
    held = found["container_mib"]
    return [
        state,
        shown(held),
        shown(found["machine_mib"]),
        shown(_MIB_IN_GIB / held) if held else NONE,
        f"{found['busy']:.1%}" if "busy" in found else NONE,
        shown(found.get("disk_mib")),
    ]
