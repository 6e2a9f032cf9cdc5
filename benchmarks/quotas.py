"""Shares of a core for single processes, by control groups of either version; root's to give.

It lets two workers be compared with one where there are too few cores for both and their load.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# Short periods: with the usual 100 ms a process would stand still for most of that at a time.
_PERIOD_US = 10_000
_VERSION_1 = Path("/sys/fs/cgroup/cpu")
_VERSION_2 = Path("/sys/fs/cgroup")


@contextmanager
def limited(pid: int, share: float) -> Iterator[None]:
    """Let a process have this share of a core; raises OSError where that can't be had."""
    group = _root() / f"opencode-gateway-bench-{pid}"
    group.mkdir()
    try:
        quota = int(share * _PERIOD_US)
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{quota} {_PERIOD_US}")
        else:
            (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        with suppress(OSError):  # the process may be gone, and its membership with it
            (_root() / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _root() -> Path:
    return _VERSION_1 if (_VERSION_1 / "cpu.cfs_quota_us").exists() else _VERSION_2
