"""How requests per second change with the clients that send them and the sessions known."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import gateway, heads
from benchmarks.bench import GATEWAY, Bench
from benchmarks.programs import Program
from benchmarks.rounds import Figures, Results, alternate
from benchmarks.small_requests import Load, send

_CLIENTS = (1, 32, 256)
_SESSIONS = (1, 1_000, 10_000)


def with_clients(bench: Bench, rounds: int) -> Results:
    requests = bench.file("requests", heads.small(bench.deployment.cookies))
    rows = [row for row in (GATEWAY, "nginx") if row in bench.rows]
    found: Results = {}
    for clients in _CLIENTS:

        def one(row: str, clients: int = clients) -> Figures:
            return send(bench, bench.rows[row], Load(requests, clients, seconds=1))

        measured = alternate(f"{clients} clients", rows, rounds, one)
        found[str(clients)] = {
            row: {"per_second": round(each["per_s"]), "p99_us": round(each["p99"])}
            for row, each in measured.items()
        }
    return {"requests_by_clients": found}


def with_sessions(bench: Bench, rounds: int) -> Results:
    """A gateway for each number of sessions, all of which are asked for in turn."""
    with ExitStack() as stack:
        known = {str(sessions): _gateway_of(bench, sessions, stack) for sessions in _SESSIONS}
        measured = alternate("sessions known", known, rounds, partial(_load, bench, known))
    return {
        "requests_by_sessions": {
            sessions: {"per_second": round(each["per_s"]), "p99_us": round(each["p99"])}
            for sessions, each in measured.items()
        }
    }


def _gateway_of(bench: Bench, sessions: int, stack: ExitStack) -> tuple[Program, Path]:
    print(f"  making {sessions:,} sessions …", flush=True)
    folder = bench.folder / f"{sessions}-sessions"
    deployment = stack.enter_context(
        gateway.deployed(folder, bench.cores, bench.upstream.port, sessions)
    )
    program = deployment.start(folder)
    stack.callback(program.stop)
    return program, bench.file(f"{sessions}-requests", heads.small(deployment.cookies))


def _load(bench: Bench, known: dict[str, tuple[Program, Path]], sessions: str) -> Figures:
    program, requests = known[sessions]
    return send(bench, program, Load(requests))
