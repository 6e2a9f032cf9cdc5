"""How much memory this machine has, and how much of it could be had now. Reads, and knows no more.

Where the system does not tell what is available, all of it counts as such.
"""

import os
from pathlib import Path

from orchestrator.containers import Room

_TOLD = Path("/proc/meminfo")


def room_here() -> Room:
    try:
        lines = _TOLD.read_text("utf-8").splitlines()
    except FileNotFoundError:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return Room(total, total)
    kib = {
        name: int(value.split()[0]) for name, _, value in (line.partition(":") for line in lines)
    }
    return Room(kib["MemTotal"] << 10, kib["MemAvailable"] << 10)
