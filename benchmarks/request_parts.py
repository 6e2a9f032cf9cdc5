"""Where a request's microseconds on the proxy's core go: samples of perf, by whose code it was in.

The gateway runs as in production and is watched from outside, so nothing in it is slower for it.
"""

import re
import shutil
import subprocess

from benchmarks import heads
from benchmarks.bench import GATEWAY, Bench
from benchmarks.programs import Program, family
from benchmarks.rounds import Figures, Results, alternate
from benchmarks.small_requests import Load, send

# What the names of perf's report say of whose code it is; what is left is "other libraries".
_OWNERS = {
    "the kernel: sockets, TCP, the log's file": r"\[kernel|\[vdso|\[guest",
    "Python: our code, interpreted": r"python3",
    "uvloop: the event loop": r"^loop\.",
}
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
            "taskset", "-c", bench.cores.load, "perf", "record", "--quiet", "-e", "cpu-clock",
            "-F", _SAMPLES_PER_S, "-p", watched, "-o", str(bench.folder / "samples"),
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def _shares(bench: Bench) -> Figures:
    report = bench.load(
        "perf", "report", "-i", bench.folder / "samples", "--sort", "dso", "--stdio", "--quiet"
    )
    shares = dict.fromkeys([*_OWNERS, _OTHER], 0.0)
    for percent, where in re.findall(r"^\s*([\d.]+)%\s+(\S+)", report, re.M):
        shares[_owner(where)] += float(percent) / 100
    return shares


def _owner(where: str) -> str:
    for owner, pattern in _OWNERS.items():
        if re.search(pattern, where):
            return owner
    return _OTHER
