"""What of a request's cost is the product's to lower: beside it, what does less, and the least.

The same load goes to the gateway, to one that writes no access log, and to a program on the same
event loop that copies bytes without looking at them.
"""

import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks import heads, programs
from benchmarks.bench import GATEWAY, Bench
from benchmarks.programs import Program
from benchmarks.rounds import Results, alternate, figure
from benchmarks.small_requests import Load, send

_TOP = Path(__file__).resolve().parents[1]


def measure(bench: Bench, rounds: int) -> Results:
    load = Load(bench.file("requests", heads.small(bench.deployment.cookies)), seconds=1)
    quiet = replace(bench.deployment, environ={**bench.deployment.environ, "LOG_LEVEL": "WARNING"})
    with ExitStack() as stack:
        rows = {"the gateway": bench.rows[GATEWAY]}
        rows["without its access log"] = program = quiet.start(bench.folder / "quiet")
        stack.callback(program.stop)
        rows["bytes only copied, on uvloop"] = program = _pump(bench)
        stack.callback(program.stop)
        found = alternate("least", rows, rounds, lambda row: send(bench, rows[row], load))
    return {"request_least_us": figure(found, "cpu_us", 1)}


def _pump(bench: Bench) -> Program:
    port = programs.free_port()
    return programs.start(
        [sys.executable, "-m", "benchmarks.pump", str(port), str(bench.upstream.port)],
        cores=bench.cores.proxy,
        folder=bench.folder / "pump",
        port=port,
        PYTHONPATH=str(_TOP),
    )
