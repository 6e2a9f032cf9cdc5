"""Requests per second by two workers and by one, each worker having the same share of a core.

So it can be measured on two cores, of which the load needs one. It shows what the workers take from
each other by being several, and not what two cores take from each other.
"""

from contextlib import ExitStack

from benchmarks import heads, programs, quotas
from benchmarks.bench import Bench
from benchmarks.programs import Program
from benchmarks.rounds import Figures, Results, alternate, figure
from benchmarks.small_requests import Load, send

_SHARE = 0.35
_COUNTS = (1, 2)
# The kernel deals connections out to workers by chance; among many it comes out even.
_CLIENTS = 128


def measure(bench: Bench, rounds: int) -> Results:
    try:
        return {"workers_requests_per_second": figure(_measured(bench, rounds), "per_s")}
    except OSError as error:
        print(f"Workers are not measured: no share of a core can be given here ({error}).")
        return {}


def _measured(bench: Bench, rounds: int) -> dict[str, Figures]:
    load = Load(bench.file("requests", heads.small(bench.deployment.cookies)), _CLIENTS)
    with ExitStack() as stack:
        crews: dict[str, Program] = {}
        for count in _COUNTS:
            folder = bench.folder / f"{count}-workers"
            crew = crews[str(count)] = bench.deployment.start(folder, "--workers", str(count))
            stack.callback(crew.stop)
            for pid in _serving(crew, count):
                stack.enter_context(quotas.limited(pid, _SHARE))
        return alternate("workers", crews, rounds, lambda count: send(bench, crews[count], load))


def _serving(crew: Program, count: int) -> list[int]:
    """One worker is the program itself; several are its children."""
    family = programs.family(crew.process.pid)
    return family if count == 1 else family[1:]
