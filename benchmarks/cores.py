"""Which core the proxies have and which ones upstream and load have; knows no program."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cores:
    """Lists as `taskset -c` takes them."""

    proxy: str
    load: str


def share_out() -> Cores:
    """Give the first core to the proxies, and to the load all others that share nothing with it."""
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise SystemExit("The benchmarks need two cores: one for the proxy, one for the load.")
    # A core's hyper-thread would take from it what the load does.
    apart = [core for core in others if core not in _siblings(first)]
    return Cores(str(first), ",".join(map(str, apart or others)))


def _siblings(core: int) -> set[int]:
    path = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list")
    try:
        text = path.read_text().strip()
    except OSError:
        return set()
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        found.update(range(int(low), int(high or low) + 1))
    return found
