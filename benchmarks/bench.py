"""All that stands while the benchmarks run: the upstream, the gateway and the proxies beside it.

Everything is started at the beginning and ended at the end, whatever happens between. It measures
nothing but what a measurement cost the proxy.
"""

import resource
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import gateway, programs, yardsticks
from benchmarks.cores import Cores
from benchmarks.gateway import Deployment
from benchmarks.programs import Program
from benchmarks.rounds import Figures, Results, figure

DIRECT = "direct"
GATEWAY = "gateway"
_SOURCES = Path(__file__).parent / "load"
_SESSIONS = 32


@dataclass(frozen=True, slots=True)
class Bench:
    """`rows` are what the load may be sent to; `direct` is the upstream itself."""

    folder: Path
    cores: Cores
    upstream: Program
    deployment: Deployment
    rows: dict[str, Program]

    def start(self, row: str, folder: Path) -> Program:
        """Start one more of a row's program, with nothing behind it yet."""
        if row == GATEWAY:
            return self.deployment.start(folder)
        return yardsticks.start(row, folder, self.cores, self.upstream.port)

    def file(self, name: str, content: bytes) -> Path:
        """Keep what the load is to send: requests hold cookies, which are no arguments."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def load(self, *command: object, seconds: float = 120) -> str:
        """Run a program of the load on its cores; return what it says."""
        try:
            done = subprocess.run(
                ["taskset", "-c", self.cores.load, *map(str, command)],
                capture_output=True,
                text=True,
                timeout=seconds,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            said = "\n".join(row.last_lines() for row in self.rows.values())
            raise SystemExit(f"{error}\n{error.stdout}{error.stderr}{said}") from error
        return done.stdout


@contextmanager
def standing(folder: Path, cores: Cores) -> Iterator[Bench]:
    """Compile the load, start everything, and end it."""
    _compile(folder)
    with ExitStack() as stack:

        def kept(program: Program) -> Program:
            stack.callback(program.stop)
            return program

        upstream = kept(_upstream(folder, cores))
        deployment = stack.enter_context(
            gateway.deployed(folder / GATEWAY, cores, upstream.port, _SESSIONS)
        )
        rows = {GATEWAY: kept(deployment.start(folder / GATEWAY))}
        present = yardsticks.present()
        for name in yardsticks.NAMES:
            if name in present:
                rows[name] = kept(yardsticks.start(name, folder / name, cores, upstream.port))
            else:
                print(f"There is no row for {name}: this machine does not have it.")
        yield Bench(folder, cores, upstream, deployment, {**rows, DIRECT: upstream})


def costing(bench: Bench, program: Program, work: Callable[[], Figures]) -> Figures:
    """Add to the work's figures what each of its `done` took of the proxy, and who was how busy.

    The load is what the work runs and waits for, together with the upstream.
    """
    proxy, load, started = program.cpu_s(), _load_s(bench), time.monotonic()
    figures = work()
    proxy, load = program.cpu_s() - proxy, _load_s(bench) - load
    took = time.monotonic() - started
    done = figures.pop("done")
    return {**figures, "cpu_us": proxy * 1e6 / done, "busy": proxy / took, "load": load / took}


def costs(unit: str, found: dict[str, Figures]) -> Results:
    """Return what `costing` found, by unit of work; going direct costs no proxy anything."""
    proxies = {row: figures for row, figures in found.items() if row != DIRECT}
    return {
        "proxy_cpu_us": {unit: figure(proxies, "cpu_us", 1)},
        "proxy_busy": {unit: figure(proxies, "busy", 2)},
        "load_busy": {unit: figure(found, "load", 2)},
    }


def _load_s(bench: Bench) -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return bench.upstream.cpu_s() + ended.ru_utime + ended.ru_stime


def _compile(folder: Path) -> None:
    for source in sorted(_SOURCES.glob("*.c")):
        subprocess.run(
            ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", folder / source.stem, source],
            check=True,
        )


def _upstream(folder: Path, cores: Cores) -> Program:
    port = programs.free_port()
    command = [str(folder / "upstream"), str(port)]
    return programs.start(command, cores=cores.load, folder=folder / "served", port=port)
