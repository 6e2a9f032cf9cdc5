"""Operating system processes that may outlive us: who they are, how they stand still and end.

A process number alone names nobody, because numbers are used again; with its moment of birth it
does. This module knows no container and blocks, so it is called on worker threads.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from orchestrator.containers import Usage
from orchestrator.engines.kin import kin_of, state_and_birth, used_by

_LOOK_EVERY_S = 0.005
_STAND_STILL_S = 0.1
_STOPPED = "T"


@dataclass(frozen=True, slots=True)
class Process:
    """One process for certain: its number and its moment of birth. It began a session of its own.

    What is done to it is done to all its kin: a shell gives each of its jobs a group of its own.
    """

    pid: int
    born: str

    def lives(self) -> bool:
        return birth(self.pid) == self.born

    def is_frozen(self) -> bool:
        state, born = state_and_birth(self.pid)
        return born == self.born and state == _STOPPED

    def freeze(self, within_s: float) -> bool:
        """Stop all where they are; False if it does not stand still in time."""
        deadline = time.monotonic() + within_s
        while not self.is_frozen() and self.lives() and time.monotonic() < deadline:
            self._signal(signal.SIGSTOP)
            if not _wait(self.is_frozen, _STAND_STILL_S):
                # It waits for a child that was stopped while being made: let that come to be.
                self._signal(signal.SIGCONT)
                time.sleep(_LOOK_EVERY_S)
        return self.is_frozen()

    def thaw(self, within_s: float) -> None:
        if self.lives():
            self._signal(signal.SIGCONT)
            _wait(lambda: not self.is_frozen(), within_s)

    def end(self, grace_s: float) -> None:
        """End all: politely, and after `grace_s` for certain."""
        if not self.lives():
            return  # and its number may be somebody else's by now
        kin = [(each.pid, each.born) for each in kin_of(self.pid)]
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT, kin)  # what is frozen would not notice the other
        _wait(lambda: not self.lives(), grace_s)
        # Its session's number stays taken while anything in it lives.
        self._signal(signal.SIGKILL, kin)
        _wait(lambda: not self.lives(), grace_s)

    def end_kin(self) -> None:
        """End what it left behind when it died; what was frozen with it would stand there for ever.
        Nobody else can have the session's number while any of them lives."""
        if birth(self.pid) is None:
            self._signal(signal.SIGKILL)

    def usage(self) -> Usage | None:
        """What it and all it started use; None where the system does not tell."""
        if sys.platform != "linux":
            return None
        pages, ticks = used_by(self.pid)
        return Usage(pages * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK"))

    def _signal(self, number: signal.Signals, known: Collection[tuple[int, str]] = ()) -> None:
        """Signal each group of its kin, and again until none is new."""
        told: set[int] = set()
        while groups := self._groups(known) - told:
            # A shell that sees its job stop takes the terminal back. It is older than its jobs,
            # and so stops first and goes on last.
            for group in sorted(groups, reverse=number == signal.SIGCONT):
                # macOS says the second of a group that holds only zombies.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, number)
            told |= groups

    def _groups(self, known: Collection[tuple[int, str]]) -> set[int]:
        return {each.group for each in kin_of(self.pid, known)}


def _wait(holds: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def birth(pid: int) -> str | None:
    """When the process was born, in the system's own notation; None if it is dead or a zombie."""
    state, born = state_and_birth(pid)
    return None if state in ("", "Z", "X") else born


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
