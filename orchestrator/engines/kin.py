"""What the system tells of its processes, and which of them belong together.

One entry to a process, read anew each time and known by its number and its moment of birth. This
module blocks, signals nobody and knows no container.
"""

import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

# Where Linux tells what we ask of a process, counted from its state; see proc(5). The ticks are its
# own and those of the children it has seen end, in its own program and in the system's.
_PARENT, _GROUP, _SESSION, _TICKS, _BORN, _PAGES = 1, 2, 3, slice(11, 15), 19, 21
_STATE_AND_BIRTH = ["/bin/ps", "-o", "stat=,lstart="]
_ALL = ["/bin/ps", "-A", "-o", "pid=,ppid=,pgid=,lstart="]


@dataclass(frozen=True, slots=True)
class Entry:
    pid: int
    parent: int
    group: int
    session: int
    born: str


def kin_of(session: int, known: Collection[tuple[int, str]] = ()) -> list[Entry]:
    """All in a session and in those that were begun from it, as each command of OpenCode's is run
    in one of its own. The parents tell, so that who outlives his is found only if he is `known`
    from before, by number and birth."""
    everybody = list(_everybody())
    sessions = {each.session for each in everybody if (each.pid, each.born) in known} | {session}
    while True:
        kin = [each for each in everybody if each.session in sessions]
        members = {each.pid for each in kin}
        begun = {each.session for each in everybody if each.parent in members}
        if begun <= sessions:
            return kin
        sessions |= begun


def state_and_birth(pid: int) -> tuple[str, str]:
    """Its state, one letter, and its moment of birth; empty if there is none of that number."""
    if sys.platform == "linux":
        fields = _fields(pid)
        return (fields[0], fields[_BORN]) if fields else ("", "")
    state, _, born = _printed([*_STATE_AND_BIRTH, "-p", str(pid)]).strip().partition(" ")
    return state[:1], born.strip()


def used_by(session: int) -> tuple[int, int]:
    """The pages that a session's kin hold and the ticks they have used. Linux's only."""
    kin = {each.pid for each in kin_of(session)}
    entries = [fields for pid, fields in _proc() if pid in kin]
    pages = sum(int(fields[_PAGES]) for fields in entries)
    return pages, sum(int(part) for fields in entries for part in fields[_TICKS])


def _everybody() -> Iterator[Entry]:
    if sys.platform == "linux":
        for pid, fields in _proc():
            parent, group, session = (int(fields[n]) for n in (_PARENT, _GROUP, _SESSION))
            yield Entry(pid, parent, group, session, fields[_BORN])
        return
    for line in _printed(_ALL).splitlines():
        pid, parent, group, born = line.split(None, 3)
        with suppress(OSError):  # it has ended since; and macOS's ps tells no session
            session = os.getsid(int(pid))
            yield Entry(int(pid), int(parent), int(group), session, born.strip())


def _proc() -> Iterator[tuple[int, list[str]]]:
    for path in Path("/proc").glob("[0-9]*"):
        if fields := _fields(int(path.name)):
            yield int(path.name), fields


def _fields(pid: int) -> list[str]:
    """What Linux tells of a process, from its state on."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The name in parentheses may itself hold spaces and parentheses: count from its end.
    return text.rpartition(")")[2].split()


def _printed(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
