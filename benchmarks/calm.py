"""Waiting until the machine has little to do, so that one step does not pay for the one before."""

import time
from pathlib import Path

_CALM_SHARE = 0.1
_LOOK_S = 0.4
_LONGEST_S = 4.0


def wait_for_calm() -> None:
    """Return once all cores together were nearly idle for a moment, or it has taken too long."""
    deadline = time.monotonic() + _LONGEST_S
    while _busy_share() > _CALM_SHARE and time.monotonic() < deadline:
        pass


def _busy_share() -> float:
    before, idle_before = _ticks()
    time.sleep(_LOOK_S)
    after, idle_after = _ticks()
    return 1 - (idle_after - idle_before) / max(1, after - before)


def _ticks() -> tuple[int, int]:
    """All ticks of all cores so far, and those of them in which a core had nothing to do."""
    line = Path("/proc/stat").read_text().splitlines()[0]
    numbers = [int(number) for number in line.split()[1:9]]
    return sum(numbers), numbers[3] + numbers[4]
