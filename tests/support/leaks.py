"""What a process holds, counted so that two moments can be compared: tasks, files, sockets.

Linux tells of descriptors in /proc; tasks are told by `counted_program`. What a pool may keep open
on purpose is counted apart, with the most that it may keep.
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import anyio
import anyio.to_thread

from orchestrator.containers import PORT
from tests.support.waiting import until

# Questions to the engine (8 at once) and its event stream; connections to a database, of two files.
_POOLED = {"engine": 10, "database": 40}


async def held(pid: int, tasks_in: Path) -> Counter[str]:
    """What it holds now, by kind."""
    files = await anyio.to_thread.run_sync(_descriptors, pid)
    return files + await _tasks(pid, tasks_in)


def leaked(before: Counter[str], after: Counter[str]) -> list[str]:
    """What there is more of than before, in words."""
    return [
        f"{kind}: {count}, before {before[kind]}"
        for kind, count in sorted(after.items())
        if count > max(before[kind], _POOLED.get(kind, 0))
    ]


def _descriptors(pid: int) -> Counter[str]:
    tcp = {inode: kind for name in ("tcp", "tcp6") for inode, kind in _listed(pid, name)}
    found: Counter[str] = Counter()
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(entry.path)
        except FileNotFoundError:  # closed in between
            continue
        found[_kind(target, tcp)] += 1
    return found


def _kind(target: str, tcp: Mapping[str, str]) -> str:
    if target.startswith("socket:["):
        return tcp.get(target[8:-1], "engine")
    if ".db" in target:
        return "database"
    return "file" if target.startswith("/") else target.partition(":")[0]


def _listed(pid: int, name: str) -> Iterator[tuple[str, str]]:
    """Of each TCP socket, by inode, what it is for."""
    for line in Path(f"/proc/{pid}/net/{name}").read_text("ascii").splitlines()[1:]:
        _, _, peer, *rest = line.split()
        to_container = int(peer.rpartition(":")[2], 16) == PORT
        yield rest[6], "socket to a container" if to_container else "socket"


async def _tasks(pid: int, tasks_in: Path) -> Counter[str]:
    told = anyio.Path(tasks_in / str(pid))
    await told.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR1)
    await until(told.exists, "the tasks being told", within_s=10)
    counts = json.loads(await told.read_text("utf-8"))
    return Counter({f"task {name}": count for name, count in counts.items()})
