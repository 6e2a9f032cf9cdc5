"""5,000 event streams that are silent: what each holds of memory, and what they do to requests.

Every round starts a program of its own, since one that once had 5,000 streams keeps memory for
them. It has answered requests before, so that only the streams' own memory is counted.
"""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle, islice

from benchmarks import heads
from benchmarks.bench import DIRECT, Bench
from benchmarks.rounds import Figures, Results, alternate, figure
from benchmarks.small_requests import Load, send

_STREAMS = 5000
_SETTLING_S = 0.3


def measure(bench: Bench, rounds: int) -> Results:
    load = Load(bench.file("requests", heads.small(bench.deployment.cookies)), seconds=1)
    proxies = [row for row in bench.rows if row != DIRECT]
    work = partial(_hold, bench, load)
    found = alternate("idle streams", proxies, rounds, work, warm_up=False)
    return {
        "idle_stream_kib": figure(found, "kib", 1),
        "idle_streams_latency_us": {
            row: {key: round(each[key]) for key in ("p99_without", "p99_with")}
            for row, each in found.items()
        },
    }


def _hold(bench: Bench, load: Load, row: str) -> Figures:
    program = bench.start(row, bench.folder / f"{row}-with-streams")
    try:
        send(bench, program, load)
        without = send(bench, program, load)
        before = program.memory_kib()
        with _open(program.port, bench.deployment.cookies):
            time.sleep(_SETTLING_S)
            held = program.memory_kib() - before
            among = send(bench, program, load)
    finally:
        program.stop()
    return {"kib": held / _STREAMS, "p99_without": without["p99"], "p99_with": among["p99"]}


@contextmanager
def _open(port: int, cookies: list[str]) -> Iterator[None]:
    with ExitStack() as stack:
        for cookie in islice(cycle(cookies), _STREAMS):
            stack.enter_context(_opened(port, cookie))
        yield


def _opened(port: int, cookie: str) -> socket.socket:
    """Open a stream; return it once its first event is here."""
    stream = socket.create_connection(("127.0.0.1", port), timeout=10)
    stream.sendall(heads.events("/bench/quiet", cookie))
    come = b""
    while b"server.connected" not in come:
        piece = stream.recv(65536)
        if not piece or not come.startswith(b"HTTP/1.1 200"[: len(come)]):
            raise SystemExit(f"A stream was not opened: {come!r}")
        come += piece
    return stream
