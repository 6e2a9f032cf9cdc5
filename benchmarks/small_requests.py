"""Small JSON over kept connections, by 32 clients: requests per second, and how long each takes.

wrk sends the requests of `heads`; a second measurement sends requests that are all different, to
show what a proxy gains from seeing the same bytes again.
"""

import json
from functools import partial
from pathlib import Path

from benchmarks import heads
from benchmarks.bench import Bench, costing, costs
from benchmarks.programs import Program
from benchmarks.rounds import Figures, Results, alternate, figure, merged, percentiles

_SCRIPT = Path(__file__).parent / "load/requests.lua"
_SECONDS = 2
_CLIENTS = 32


def measure(bench: Bench, rounds: int) -> Results:
    cookies = bench.deployment.cookies
    same = bench.file("requests", heads.small(cookies))
    other = bench.file("different-requests", heads.small(cookies, different=True))

    def different(row: str) -> Figures:
        return load(bench, bench.rows[row], other, "different")

    usual = alternate(
        "small requests", bench.rows, rounds, lambda row: load(bench, bench.rows[row], same)
    )
    varied = alternate("different requests", bench.rows, rounds, different)
    return {
        "requests_per_second": figure(usual, "per_s"),
        "latency_us": percentiles(usual),
        "different_requests_per_second": figure(varied, "per_s"),
        **merged(costs("request", usual), costs("different request", varied)),
    }


def load(
    bench: Bench, program: Program, requests: Path, *more: str, clients: int = _CLIENTS
) -> Figures:
    """Send the file's requests for a while; anything but good answers is an error."""
    return costing(program, partial(_wrk, bench, program.port, requests, *more, clients=clients))


def _wrk(bench: Bench, port: int, requests: Path, *more: str, clients: int) -> Figures:
    told = bench.load(
        "wrk", "-t1", f"-c{clients}", f"-d{_SECONDS}s", "--latency", "-s", _SCRIPT,
        f"http://127.0.0.1:{port}/", "--", requests, *more,
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
