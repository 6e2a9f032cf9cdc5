"""Where a request's microseconds on the proxy's core go: samples of perf, by what it was doing.

The gateway runs as in production and is watched from outside, so nothing in it is slower for it.
"""

import re
import shutil
import subprocess
from collections import Counter

from benchmarks import heads
from benchmarks.bench import GATEWAY, Bench
from benchmarks.programs import Program, family
from benchmarks.rounds import Figures, Results, alternate
from benchmarks.small_requests import Load, send

# What a sample's innermost function or, in the kernel, any function on its stack says of the work.
_KERNEL = {
    "kernel: sending": r"tcp_sendmsg",
    "kernel: receiving": r"tcp_recvmsg|sock_read_iter",
    "kernel: waiting for sockets": r"epoll",
}
_PROGRAM = {
    "uvloop": r"/loop\.cpython",
    "Python, running our code": r"/(lib)?python3[^/]*$",
}
_OTHER_KERNEL = "kernel: all else"
_OTHER = "C libraries"
_SAMPLES_PER_S = "999"


def measure(bench: Bench, rounds: int) -> Results:
    if not _may_sample():
        print("Where a request's time goes is not measured: perf is missing here, or may not.")
        return {}
    load = Load(bench.file("requests", heads.small(bench.deployment.cookies)))

    def sampled(row: str) -> Figures:
        program = bench.rows[row]
        with _sampling(bench, program) as sampling:
            cost = send(bench, program, load)["cpu_us"]
            sampling.terminate()
        return {owner: share * cost for owner, share in _shares(bench).items()}

    found = alternate("parts of a request", [GATEWAY], rounds, sampled)[GATEWAY]
    return {"request_parts_us": {owner: round(value, 1) for owner, value in found.items()}}


def _may_sample() -> bool:
    if shutil.which("perf") is None:
        return False
    tried = ["perf", "record", "--quiet", "-e", "cpu-clock", "-o", "/dev/null", "true"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def _sampling(bench: Bench, program: Program) -> "subprocess.Popen[bytes]":
    watched = ",".join(map(str, family(program.process.pid)))
    return subprocess.Popen(
        [
            "taskset", "-c", bench.cores.load, "perf", "record", "--quiet", "-g", "-e", "cpu-clock",
            "-F", _SAMPLES_PER_S, "-p", watched, "-o", str(bench.folder / "samples"),
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _shares(bench: Bench) -> Figures:
    told = bench.load("perf", "script", "-i", bench.folder / "samples", "-F", "ip,sym,dso")
    stacks = [stack for stack in told.split("\n\n") if stack.strip()]
    counted = Counter(map(part, stacks))
    parts = [*_PROGRAM, _OTHER, *_KERNEL, _OTHER_KERNEL]
    return {name: counted[name] / len(stacks) for name in parts}


def part(stack: str) -> str:
    """Say what a sample belongs to; its lines are the functions, the innermost first."""
    innermost = stack.strip().partition("\n")[0]
    if re.search(r"\[kernel|\[vdso|\[guest", innermost):
        return _first(_KERNEL, stack) or _OTHER_KERNEL
    return _first(_PROGRAM, innermost) or _OTHER


def _first(patterns: dict[str, str], text: str) -> str | None:
    return next((name for name, pattern in patterns.items() if re.search(pattern, text)), None)
