"""200 event streams, each fed 100 events/s: how many arrive, and how late each is.

What a proxy adds is its delay less the direct one, which is the load's own. That all events arrive
says little of a proxy that is far from its limit, so what an event costs it is measured as well.
"""

import json
from functools import partial
from pathlib import Path

from benchmarks import heads
from benchmarks.bench import DIRECT, Bench, costing, costs
from benchmarks.rounds import Figures, Results, alternate, figure, percentiles

_STREAMS = 200
_SECONDS = 2


def measure(bench: Bench, rounds: int) -> Results:
    requests = b"".join(heads.events("/bench/events", c) for c in bench.deployment.cookies)
    file = bench.file("event-streams", requests)
    found = alternate("event streams", bench.rows, rounds, partial(_stream, bench, file))
    added = {
        row: {name: each[name] - found[DIRECT][name] for name in ("p50", "p99")}
        for row, each in found.items()
    }
    return {
        "sse_events_per_second": figure(found, "per_s"),
        "sse_added_delay_us": percentiles(added, 1),
        **costs("event", found),
    }


def _stream(bench: Bench, file: Path, row: str) -> Figures:
    program = bench.rows[row]

    def work() -> Figures:
        told = json.loads(
            bench.load(bench.folder / "events", program.port, file, _STREAMS, _SECONDS)
        )
        return {
            "per_s": told["events"] * 1e9 / told["ns"],
            "p50": told["p50_ns"] / 1000,
            "p99": told["p99_ns"] / 1000,
            "done": told["received"],
        }

    return costing(bench, program, work)
