"""`make bench`: measure, write benchmarks/results.json, print the table.

`python -m benchmarks requests sse --rounds 3` measures a part and writes nothing.
"""

import json
import os
import resource
import shutil
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    documents,
    event_streams,
    growth,
    idle_streams,
    least,
    machine,
    messages,
    real_container,
    request_parts,
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
_MEASUREMENTS: dict[str, Callable[[Bench, int], Results]] = {
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
    "container": real_container.measure,
}


def main() -> int:
    parser = ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="MEASUREMENT", help=", ".join(_MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    chosen = parser.parse_args()
    if unknown := set(chosen.only) - _MEASUREMENTS.keys():
        parser.error(f"no such measurement: {', '.join(unknown)}")
    results = _measure(chosen.only or list(_MEASUREMENTS), chosen.rounds)
    if chosen.only:
        print(json.dumps(results, indent=2))
        return 0
    documents.RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    documents.main([])
    print(tables.main(results))
    return 0


def _measure(names: list[str], rounds: int) -> Results:
    if missing := [name for name in _NEEDED if shutil.which(name) is None]:
        raise SystemExit(f"The benchmarks need {', '.join(missing)}.")
    cores = share_out()
    # This program is part of the load: what it starts and reads must not disturb a proxy.
    os.sched_setaffinity(0, {int(core) for core in cores.load.split(",")})
    _allow_descriptors()
    results = machine.described()
    with tempfile.TemporaryDirectory(prefix="opencode-gateway-bench-") as folder:
        Path(folder).chmod(0o755)
        print("Starting the proxies …", flush=True)
        with standing(Path(folder), cores) as bench:
            for name in names:
                results = merged(results, _MEASUREMENTS[name](bench, rounds))
    return results


def _allow_descriptors() -> None:
    """Let what is started from here have enough of them, where the system leaves it to us."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if most < _DESCRIPTORS:
        raise SystemExit(f"The benchmarks need {_DESCRIPTORS} file descriptors (ulimit -Hn).")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * _DESCRIPTORS), most))


if __name__ == "__main__":
    sys.exit(main())
