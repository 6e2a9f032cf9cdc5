"""WebSocket messages to and fro on 100 connections, each sending when its last one came back."""

import json
from functools import partial
from pathlib import Path

from benchmarks import heads
from benchmarks.bench import Bench, costing, costs
from benchmarks.rounds import Figures, Results, alternate, figure

_CONNECTIONS = 100
_SECONDS = 2


def measure(bench: Bench, rounds: int) -> Results:
    requests = b"".join(heads.socket("/bench/socket", c) for c in bench.deployment.cookies)
    file = bench.file("sockets", requests)
    found = alternate("messages", bench.rows, rounds, partial(_echo, bench, file))
    return {
        "websocket_messages_per_second": figure(found, "per_s"),
        **costs("message", found),
    }


def _echo(bench: Bench, file: Path, row: str) -> Figures:
    program = bench.rows[row]

    def work() -> Figures:
        told = json.loads(
            bench.load(bench.folder / "messages", program.port, file, _CONNECTIONS, _SECONDS)
        )
        return {"per_s": told["messages"] * 1e9 / told["ns"], "done": told["messages"]}

    return costing(bench, program, work)
