"""Small JSON over kept connections, by 32 clients: requests per second, and how long each takes.

wrk sends the requests of `heads`; a second measurement sends requests that are all different, to
show what a proxy gains from seeing the same bytes again.
"""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks import heads
from benchmarks.bench import Bench, costing, costs
from benchmarks.programs import Program
from benchmarks.rounds import Figures, Results, alternate, figure, merged, percentiles

_SCRIPT = Path(__file__).parent / "load/requests.lua"


@dataclass(frozen=True, slots=True)
class Load:
    """`requests` is a file; `different` says that each is to be made unlike all others."""

    requests: Path
    clients: int = 32
    seconds: int = 2
    different: bool = False


def measure(bench: Bench, rounds: int) -> Results:
    cookies = bench.deployment.cookies
    same = Load(bench.file("requests", heads.small(cookies)))
    marked = bench.file("different-requests", heads.small(cookies, different=True))
    other = Load(marked, seconds=1, different=True)
    usual = alternate("small requests", bench.rows, rounds, partial(_row, bench, same))
    varied = alternate("requests, no two alike", bench.rows, rounds, partial(_row, bench, other))
    return {
        "requests_per_second": figure(usual, "per_s"),
        "latency_us": percentiles(usual),
        "different_requests_per_second": figure(varied, "per_s"),
        **merged(costs("request", usual), costs("different request", varied)),
    }


def send(bench: Bench, program: Program, load: Load) -> Figures:
    """Load a program for a while; anything but good answers is an error."""
    return costing(bench, program, partial(_wrk, bench, program.port, load))


def _row(bench: Bench, load: Load, row: str) -> Figures:
    return send(bench, bench.rows[row], load)


def _wrk(bench: Bench, port: int, load: Load) -> Figures:
    told = bench.load(
        "wrk", "-t1", f"-c{load.clients}", f"-d{load.seconds}s", "--latency", "-s", _SCRIPT,
        f"http://127.0.0.1:{port}/", "--", load.requests, *["different"] * load.different,
    )  # fmt: skip
    found = json.loads(told.splitlines()[-1])
    if found["failed"]:
        raise SystemExit(f"{found['failed']} of the benchmark's requests failed:\n{told}")
    return {
        "per_s": found["requests"] * 1e6 / found["duration_us"],
        "p50": found["p50"],
        "p99": found["p99"],
        "done": found["requests"],
    }
