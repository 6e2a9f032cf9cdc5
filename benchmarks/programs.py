"""Programs that a benchmark starts: on their cores, in a folder, watched, and ended for certain.

It knows what a process uses of time and memory; it does not know what any program is for.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_START_S = 30.0
_STOP_S = 15.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Program:
    process: subprocess.Popen[bytes]
    port: int
    folder: Path

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def last_lines(self) -> str:
        lines = (self.folder / "output").read_text(errors="replace").splitlines()
        return "\n".join(lines[-15:])

    def cpu_s(self) -> float:
        """Return the processor time of the program and its children so far."""
        return sum(_cpu_s(pid) for pid in family(self.process.pid))

    def memory_kib(self) -> int:
        """Return what is its own of memory: pages shared by n processes count an nth (PSS)."""
        return sum(_field(pid, "smaps_rollup", "Pss:") for pid in family(self.process.pid))

    def forget_peak(self) -> int:
        """Count the peak anew from here; return what its processes hold now, in KiB."""
        for pid in family(self.process.pid):
            Path(f"/proc/{pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM
        return self.peak_kib()

    def peak_kib(self) -> int:
        """Return the most that its processes held in memory at any moment."""
        return sum(_field(pid, "status", "VmHWM:") for pid in family(self.process.pid))


def start(
    command: Sequence[str], *, cores: str, folder: Path, port: int, **environ: str
) -> Program:
    """Start a program on its cores; return it once its port answers HTTP."""
    folder.mkdir(parents=True, exist_ok=True)
    program = Program(spawn(command, cores=cores, folder=folder, environ=environ), port, folder)
    deadline = time.monotonic() + _START_S
    try:
        while program.process.poll() is None and time.monotonic() < deadline:
            if _answers(port):
                return program
            time.sleep(0.02)
    except KeyboardInterrupt:  # nobody else knows of it yet
        program.stop()
        raise
    program.stop()
    raise SystemExit(f"{command[0]} did not start:\n{program.last_lines()}")


def spawn(
    command: Sequence[str], *, cores: str, folder: Path, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start it with its output in the folder's file `output`, where access logs may go as well."""
    with (folder / "output").open("wb") as output:
        return subprocess.Popen(
            ["taskset", "-c", cores, *command],
            cwd=folder,
            env={**_environ(), **environ},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


def family(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(int(child) for child in task.read_text().split())
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _environ() -> dict[str, str]:
    """Only what programs need of this one's environment: settings of ours would be read."""
    named = ("PATH", "HOME", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in named if name in os.environ}  # noqa: TID251


def _answers(port: int) -> bool:
    """Any answer will do: a port that only takes connections may belong to what never comes up."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            return connection.recv(9) == b"HTTP/1.1 "
    except OSError:
        return False


def _cpu_s(pid: int) -> float:
    # The name in the second field may hold spaces; what follows its bracket does not (proc(5)).
    numbers = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(numbers[11]) + int(numbers[12])) / _TICKS_PER_S


def _field(pid: int, file: str, name: str) -> int:
    for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise LookupError(f"/proc/{pid}/{file} has no {name}")
