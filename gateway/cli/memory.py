"""How much memory this machine has for containers, and how many of them that is.

It knows what the kernel tells, and no engine: where that is another machine's, nothing is told.
"""

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gateway.cli.findings import Broken, Environ, Missing
from orchestrator.settings import Settings, SettingsError, load_settings

# Measured: OpenCode holds 240 MB when nothing runs in it; a turn or two later it is this.
_TYPICAL_BYTES = 300_000_000
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Memory:
    total_bytes: int
    available_bytes: int

    def containers(self, each_bytes: int, reserve_bytes: int) -> int:
        """How many of this size fit beside what is kept free."""
        return max(0, self.available_bytes - reserve_bytes) // each_bytes


def check(environ: Environ) -> str:
    if not (environ.get("DOCKER_HOST") or "unix:").startswith("unix:"):
        raise Missing("not told: the engine that DOCKER_HOST names has a machine of its own")
    memory, settings = read_memory(), _settings(environ)
    if memory is None or settings is None:
        raise Missing("not told: this system has no /proc/meminfo, or a setting is wrong")
    reserve = settings.terms.allowance.memory_reserve_bytes
    told = sentence(memory, settings.limits.memory_bytes, reserve)
    if not has_room(memory, reserve):
        raise Broken(f"{told}: end other programs, or lower MEMORY_RESERVE_BYTES")
    return told


def read_memory(meminfo: Path = Path("/proc/meminfo")) -> Memory | None:
    """Return what the kernel tells; None where it is no Linux."""
    try:
        told = dict(re.findall(r"^(\w+): +(\d+) kB$", meminfo.read_text("ascii"), re.MULTILINE))
        return Memory(int(told["MemTotal"]) << 10, int(told["MemAvailable"]) << 10)
    except (OSError, KeyError):
        return None


def sentence(memory: Memory, most_bytes: int, reserve_bytes: int) -> str:
    full = memory.containers(most_bytes, reserve_bytes)
    typical = memory.containers(_TYPICAL_BYTES, reserve_bytes)
    return (
        f"{_gib(memory.available_bytes)} of {_gib(memory.total_bytes)} available: "
        f"{full} containers of {_gib(most_bytes)} (MEMORY_BYTES), or {typical} of a typical "
        f"{_TYPICAL_BYTES // 10**6} MB"
    )


def has_room(memory: Memory, reserve_bytes: int) -> bool:
    return memory.containers(_TYPICAL_BYTES, reserve_bytes) > 0


def _gib(size: int) -> str:
    return f"{size / _GIB:.1f}".removesuffix(".0") + " GiB"


def _settings(environ: Environ) -> Settings | None:
    with tempfile.TemporaryDirectory() as state:
        try:
            return load_settings({**environ, "STATE": state})
        except SettingsError:
            return None
