"""Operating system processes that may outlive us: who they are, that they live, how they end.

A process number alone names nobody, because numbers are used again; with its moment of birth it
does. This module knows no container and blocks, so it is called on worker threads.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_LOOK_EVERY_S = 0.02


@dataclass(frozen=True, slots=True)
class Process:
    """One process for certain: its number and its moment of birth."""

    pid: int
    born: str

    def lives(self) -> bool:
        return birth(self.pid) == self.born

    def end(self, grace_s: float) -> None:
        """End its whole group: politely, and after `grace_s` for certain."""
        if not self.lives():
            return  # and its number may be somebody else's by now
        self._signal_group(signal.SIGTERM)
        self._ended_within(grace_s)
        # What it started shares its group, whose number stays taken while any of them lives.
        self._signal_group(signal.SIGKILL)
        self._ended_within(grace_s)

    def _signal_group(self, number: signal.Signals) -> None:
        # macOS says the second of a group that holds only zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _ended_within(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self.lives() and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)


def birth(pid: int) -> str | None:
    """When the process was born, in the system's own notation; None if it is dead or a zombie."""
    state, born = _from_proc(pid) if sys.platform == "linux" else _from_ps(pid)
    return None if state in ("", "Z", "X") else born


def _from_proc(pid: int) -> tuple[str, str]:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return "", ""
    # The name in parentheses may itself hold spaces and parentheses: count from its end.
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]


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
