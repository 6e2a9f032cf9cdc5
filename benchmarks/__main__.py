"""`make bench`: measure, write benchmarks/results.json, print the table.

`python -m benchmarks requests events --rounds 3` measures a part and writes nothing.
"""

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks import (
    density,
    documents,
    event_streams,
    growth,
    idle_streams,
    least,
    machine,
    messages,
    real_container,
    request_parts,
    session,
    small_requests,
    tables,
    transfers,
    workers,
)
from benchmarks.bench import Bench, standing
from benchmarks.cores import share_out
from benchmarks.rounds import Results, merged

_ROUNDS = 5
# 5,000 streams are as many here, and twice as many in a proxy.
_DESCRIPTORS = 13_000
_NEEDED = ("taskset", "gcc", "wrk")
_BESIDE_PROXIES: dict[str, Callable[[Bench, int], Results]] = {
    "requests": small_requests.measure,
    "transfers": transfers.measure,
    "events": event_streams.measure,
    "messages": messages.measure,
    "idle": idle_streams.measure,
    "clients": growth.with_clients,
    "sessions": growth.with_sessions,
    "workers": workers.measure,
    "parts": request_parts.measure,
    "least": least.measure,
}
# Of a whole deployment with real containers, on all cores and with nothing else beside it.
_DEPLOYED: dict[str, Callable[[int], Results]] = {
    "container": real_container.measure,
    "session": session.measure,
    "density": density.measure,
}
_NOT_OF_A_PART = ("bars", "machine", "buffers", "busy")
_MEASUREMENTS = (*_BESIDE_PROXIES, *_DEPLOYED)


def main() -> int:
    parser = ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="MEASUREMENT", help=", ".join(_MEASUREMENTS))
    parser.add_argument(
        "--rounds", type=int, default=_ROUNDS, help="how often each is measured (%(default)s)"
    )
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.only if name not in _MEASUREMENTS]:
        choices = ", ".join(_MEASUREMENTS)
        parser.error(f"no such measurement: {', '.join(unknown)} (choose from {choices})")
    if chosen.rounds < 1:
        parser.error("--rounds must be at least 1")
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, _stop)
    try:
        return _run(chosen.only, chosen.rounds)
    except KeyboardInterrupt:
        with suppress(OSError):  # a closed terminal reads nothing
            print("Stopped.", flush=True)
        return 130


def _stop(_number: int, _frame: object) -> None:
    """End everything in order, once: told again, we are already about it."""
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.SIG_IGN)
    raise KeyboardInterrupt


def _run(only: list[str], rounds: int) -> int:
    results = _measure(only or _MEASUREMENTS, rounds)
    if only:
        for table in _measured(results):
            print(f"{table}\n")
        print("Nothing was written: only a part was measured.")
        return 0
    documents.RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    documents.main([])
    print(tables.main(results))
    return 0


def _measured(results: Results) -> Iterator[str]:
    """Yield the tables for which something was measured."""
    for name in tables.BLOCKS:
        if name in _NOT_OF_A_PART:
            continue
        with suppress(KeyError):
            table = tables.BLOCKS[name](results)
            if table.count("\n") > 1:  # more than its head
                yield table


def _measure(names: Sequence[str], rounds: int) -> Results:
    results = machine.described()
    if beside := [name for name in names if name in _BESIDE_PROXIES]:
        results = merged(results, _measure_beside_proxies(beside, rounds))
    for name in names:
        if name in _DEPLOYED:
            results = merged(results, _DEPLOYED[name](rounds))
    return results


def _measure_beside_proxies(names: Sequence[str], rounds: int) -> Results:
    if missing := [name for name in _NEEDED if shutil.which(name) is None]:
        raise SystemExit(f"The benchmarks need {', '.join(missing)}.")
    cores, all_cores = share_out(), os.sched_getaffinity(0)
    # This program is part of the load: what it starts and reads must not disturb a proxy.
    os.sched_setaffinity(0, {int(core) for core in cores.load.split(",")})
    _allow_descriptors()
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="opencode-gateway-bench-") as folder:
        Path(folder).chmod(0o755)
        print("Starting the proxies …", flush=True)
        with standing(Path(folder), cores) as bench:
            for name in names:
                results = merged(results, _BESIDE_PROXIES[name](bench, rounds))
    os.sched_setaffinity(0, all_cores)
    return results


def _allow_descriptors() -> None:
    """Let what is started from here have enough of them, where the system leaves it to us."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < _DESCRIPTORS:
        raise SystemExit(f"The benchmarks need {_DESCRIPTORS} file descriptors (ulimit -Hn).")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * _DESCRIPTORS), most))


if __name__ == "__main__":
    sys.exit(main())
