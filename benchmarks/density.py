"""How many sessions fit into a gigabyte, by what their containers are: ready, frozen or stopped.

Ten real ones at once. What a container holds is told by the engine; what the machine has left
tells the rest, such as what all of them share. Others' programs are in the latter too.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bare_container import docker_client, has_engine
from benchmarks.calm import wait_for_calm
from benchmarks.first_byte import first_byte_ms
from benchmarks.real_deployment import Deployment, deployed
from benchmarks.rounds import Figures, Results
from orchestrator.containers import Usage
from orchestrator.engines import docker_json as shapes

SESSIONS = 10
_SETTINGS = {"ENGINE": "docker", "POOL_SIZE": "0", "FREEZE_AFTER_S": "5", "MAX_CONTAINERS": "0"}
_REQUESTS = ("/session", "/config", "/agent", "/provider", "/command", "/file?path=.")
_PROMPT = "Hello."
_AWAKE_S = 3600
_WATCHED_S = 20
_MIB = 1 << 20


def measure(_rounds: int) -> Results:
    if not has_engine():
        return {}
    print("  starting a deployment for ten sessions …", flush=True)
    with deployed(**_SETTINGS) as running, docker_client() as docker:
        wait_for_calm()
        before = available_bytes()
        with _sessions(running) as made:
            return {"density": dict(_found(_Ten(running, docker, made, before)))}


@dataclass(frozen=True, slots=True)
class _Ten:
    """Ten sessions, and what the machine had left before they were there."""

    running: Deployment
    docker: Any
    made: Sequence[dict[str, Any]]
    before: int

    def ask(self) -> None:
        for each in self.made:
            for path in _REQUESTS:
                first_byte_ms(self.running.way(each), path)
            self._keep_awake(each, _AWAKE_S)

    def prompt(self) -> None:
        for each in self.made:
            path = f"/api/sessions/{each['id']}/chat"
            self.running.gateway.post(path, json={"prompt": _PROMPT}).raise_for_status()

    def freeze(self) -> None:
        for each in self.made:
            self._keep_awake(each, 0)
        self._wait_for("frozen")

    def stop(self) -> None:
        for each in self.made:
            path = f"/api/sessions/{each['id']}/stop"
            self.running.gateway.post(path).raise_for_status()
        self._wait_for("stopped")

    def figures(self, *, watched: bool) -> Figures:
        """What one of them holds, and how busy they keep a core together."""
        wait_for_calm()
        left = available_bytes()
        used = self._used()
        held = sum(each.memory_bytes for each in used) / len(self.made)
        taken = (self.before - left) / len(self.made)
        figures = {"container_mib": round(held / _MIB, 1), "machine_mib": round(taken / _MIB, 1)}
        if watched:
            time.sleep(_WATCHED_S)
            cpu_s = sum(each.cpu_s for each in self._used()) - sum(each.cpu_s for each in used)
            figures["busy"] = round(cpu_s / _WATCHED_S, 4)
        return figures

    def disk_mib(self) -> float:
        """What one of them keeps on disk: its volume and its container's own layer."""
        names = {self.running.view(each["id"])["volume"] for each in self.made}
        told = self.docker.df()
        volumes = [v["UsageData"]["Size"] for v in told["Volumes"] if v["Name"] in names]
        ours = {f"/agent_{each['id']}" for each in self.made}
        layers = [c.get("SizeRw", 0) for c in told["Containers"] if ours & set(c["Names"])]
        whole: int = sum(volumes) + sum(layers)
        return round(whole / len(self.made) / _MIB, 2)

    def _used(self) -> list[Usage]:
        told = (self.docker.stats(f"agent_{each['id']}", stream=False, one_shot=True)
                for each in self.made)  # fmt: skip
        return [usage for each in told if (usage := shapes.usage(each)) is not None]

    def _keep_awake(self, each: dict[str, Any], for_s: int) -> None:
        path = f"/api/sessions/{each['id']}/keep-awake"
        self.running.gateway.post(path, json={"for_s": for_s}).raise_for_status()

    def _wait_for(self, state: str) -> None:
        for each in self.made:
            self.running.wait_for_state(each["id"], state)


def available_bytes() -> int:
    """What the machine could still give to programs without swapping."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    raise LookupError("/proc/meminfo has no MemAvailable.")


def _found(ten: _Ten) -> Iterator[tuple[str, Figures]]:
    ten.ask()
    yield _told("ready, after requests", ten.figures(watched=True))
    ten.prompt()
    yield _told("ready, after a prompt", ten.figures(watched=True))
    ten.freeze()
    yield _told("frozen", ten.figures(watched=True))
    ten.stop()
    figures = ten.figures(watched=False)
    yield _told("stopped", {**figures, "disk_mib": ten.disk_mib()})


def _told(state: str, figures: Figures) -> tuple[str, Figures]:
    shown = "   ".join(f"{key} {value:,.3f}" for key, value in figures.items())
    print(f"  density, {state}: {shown}", flush=True)
    return state, figures


@contextmanager
def _sessions(running: Deployment) -> Iterator[Sequence[dict[str, Any]]]:
    with ExitStack() as stack:
        yield [stack.enter_context(running.session()) for _ in range(SESSIONS)]
