"""One large body each way: MB per second, and how much memory the proxy took for it.

Neither upstream nor load copies a byte. The memory is the most the proxy held at any moment, less
what it held before its first transfer.
"""

import json
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks import heads
from benchmarks.bench import DIRECT, Bench, costing, costs
from benchmarks.rounds import Figures, Results, alternate, figure, merged
from benchmarks.yardsticks import NGINX_64K

BYTES = 1 << 30
_PATH = "/bench/bytes"


def measure(bench: Bench, rounds: int) -> Results:
    with ExitStack() as stack:
        rows = dict(bench.rows)
        if "nginx" in rows:
            rows[NGINX_64K] = bench.start(NGINX_64K, bench.folder / NGINX_64K)
            stack.callback(rows[NGINX_64K].stop)
        return _measure_both(replace(bench, rows=rows), rounds)


def _measure_both(bench: Bench, rounds: int) -> Results:
    before = {row: program.forget_peak() for row, program in bench.rows.items()}
    down = _measure(bench, rounds, "download", heads.get(_PATH, bench.deployment.cookies[0]))
    up = _measure(bench, rounds, "upload", heads.upload(_PATH, bench.deployment.cookies[0], BYTES))
    growth = {
        row: max(0.0, round((program.peak_kib() - before[row]) / 1024, 1))
        for row, program in bench.rows.items()
        if row != DIRECT
    }
    return merged(down, up, {"transfer_memory_growth_mib": growth})


def _measure(bench: Bench, rounds: int, way: str, request: bytes) -> Results:
    head = bench.file(way, request)
    found = alternate(way, bench.rows, rounds, partial(_transfer, bench, way, head))
    return {f"{way}_mb_per_s": figure(found, "mb_per_s"), **costs(f"{way} of 1 MB", found)}


def _transfer(bench: Bench, way: str, head: Path, row: str) -> Figures:
    program = bench.rows[row]

    def work() -> Figures:
        told = json.loads(bench.load(bench.folder / "transfer", program.port, head, way, BYTES))
        return {"mb_per_s": told["bytes"] / told["ns"] * 1000, "done": told["bytes"] / 1e6}

    return costing(bench, program, work)
