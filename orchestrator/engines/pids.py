"""Operating system processes that may outlive us: who they are, how they stand still and end.

A process number alone names nobody, because numbers are used again; with its moment of birth it
does. This module knows no container and blocks, so it is called on worker threads.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.containers import Usage

_LOOK_EVERY_S = 0.005
_STAND_STILL_S = 0.1
_STOPPED = "T"
# Where Linux tells what we ask of a process, counted from its state. The ticks are its own and
# those of the children it has seen end, in its own program and in the system's.
_SESSION, _TICKS, _PAGES = 3, slice(11, 15), 21


@dataclass(frozen=True, slots=True)
class Process:
    """One process for certain: its number and its moment of birth."""

    pid: int
    born: str

    def lives(self) -> bool:
        return birth(self.pid) == self.born

    def is_frozen(self) -> bool:
        state, born = _state(self.pid)
        return born == self.born and state == _STOPPED

    def freeze(self, within_s: float) -> bool:
        """Stop its whole group where it is; False if it does not stand still in time."""
        deadline = time.monotonic() + within_s
        while not self.is_frozen() and self.lives() and time.monotonic() < deadline:
            self._signal_group(signal.SIGSTOP)
            if not _wait(self.is_frozen, _STAND_STILL_S):
                # It waits for a child that was stopped while being made: let that come to be.
                self._signal_group(signal.SIGCONT)
                time.sleep(_LOOK_EVERY_S)
        return self.is_frozen()

    def thaw(self, within_s: float) -> None:
        if self.lives():
            self._signal_group(signal.SIGCONT)
            _wait(lambda: not self.is_frozen(), within_s)

    def end(self, grace_s: float) -> None:
        """End its whole group: politely, and after `grace_s` for certain."""
        if not self.lives():
            return  # and its number may be somebody else's by now
        self._signal_group(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)  # what is frozen would not notice the other
        _wait(lambda: not self.lives(), grace_s)
        # What it started shares its group, whose number stays taken while any of them lives.
        self._signal_group(signal.SIGKILL)
        _wait(lambda: not self.lives(), grace_s)

    def end_kin(self) -> None:
        """End what it left behind when it died; what was frozen with it would stand there for ever.
        Nobody else can have the group's number while any of them lives."""
        if birth(self.pid) is None:
            self._signal_group(signal.SIGKILL)

    def usage(self) -> Usage | None:
        """What it and all it started use; None where the system does not tell."""
        if sys.platform != "linux":
            return None
        # The session and not the group: a shell gives each of its jobs a group of its own.
        kin = [fields for fields in _everybody() if int(fields[_SESSION]) == self.pid]
        pages = sum(int(fields[_PAGES]) for fields in kin)
        ticks = sum(int(part) for fields in kin for part in fields[_TICKS])
        return Usage(pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))

    def _signal_group(self, number: signal.Signals) -> None:
        # macOS says the second of a group that holds only zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def _wait(holds: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def birth(pid: int) -> str | None:
    """When the process was born, in the system's own notation; None if it is dead or a zombie."""
    state, born = _state(pid)
    return None if state in ("", "Z", "X") else born


def _state(pid: int) -> tuple[str, str]:
    """Its state, one letter, and its moment of birth; empty if there is none of that number."""
    return _from_proc(pid) if sys.platform == "linux" else _from_ps(pid)


def _from_proc(pid: int) -> tuple[str, str]:
    fields = _fields(pid)
    return (fields[0], fields[19]) if fields else ("", "")


def _fields(pid: int) -> list[str]:
    """What Linux tells of a process, from its state on; see proc(5)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return []
    # The name in parentheses may itself hold spaces and parentheses: count from its end.
    return text.rpartition(")")[2].split()


def _everybody() -> Iterator[list[str]]:
    for path in Path("/proc").glob("[0-9]*"):
        if fields := _fields(int(path.name)):
            yield fields


def _from_ps(pid: int) -> tuple[str, str]:
    command = ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    state, _, born = answer.stdout.strip().partition(" ")
    return state[:1], born.strip()


def reap(pid: int) -> str | None:
    """Take the exit status of a child that ended: a sentence, or None if there is none to take."""
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return _in_words(os.waitstatus_to_exitcode(status)) if done else None


def _in_words(code: int) -> str:
    if code < 0:
        return f"It was ended by signal {-code} ({signal.Signals(-code).name})."
    return f"It ended by itself with exit code {code}."
