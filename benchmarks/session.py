"""How long a session's first byte takes, by what its container is then, and where the time goes.

A real deployment with a real engine and OpenCode. Beside each way in, in the same rounds, stands
what the engine and OpenCode take for it by themselves.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from statistics import median, quantiles
from typing import Any

from benchmarks.bare_container import LIMITS, Start, bare_container, docker_client, has_engine
from benchmarks.calm import wait_for_calm
from benchmarks.first_byte import first_byte_ms
from benchmarks.real_deployment import Deployment, deployed
from benchmarks.rounds import Figures, Results
from orchestrator.settings import DEFAULT_IMAGE

# It lists conversations, so it loads an instance and reads the database: what clients begin with.
_PATH = "/session"
_WARM_IN_A_ROUND = 3
_COLD_IN_A_ROUND = 2
_SETTINGS = {"ENGINE": "docker", "POOL_SIZE": "1", "FREEZE_AFTER_S": "1"}
# Spares have the usual limits, so that a session of this agent never gets one.
_WITHOUT_POOL = {
    "name": "Without a pool",
    "provider": "openai-compatible",
    "model": "scripted",
    "base_url": "http://127.0.0.1:9/v1",
    "token": "no-token",
    "limits": {"memory_bytes": LIMITS.memory_bytes - (1 << 20)},
}
# What each way in is called in the results.
KEYS = {
    "new": "first_byte_new_ms",
    "frozen": "first_byte_frozen_ms",
    "bare frozen": "bare_wake_ms",
    "new, no pool": "first_byte_new_without_pool_ms",
    "bare new": "bare_start_ms",
    "stopped": "first_byte_stopped_ms",
    "bare stopped": "bare_start_stopped_ms",
}


def measure(rounds: int) -> Results:
    if not has_engine():
        return {}
    print("  starting a deployment with a warm pool …", flush=True)
    with deployed(**_SETTINGS) as running, docker_client() as docker:
        measured = Measured(defaultdict(list))
        _warm(running, measured, rounds * _WARM_IN_A_ROUND)
        _cold(running, docker, measured, rounds * _COLD_IN_A_ROUND)
    return measured.results()


@dataclass(frozen=True, slots=True)
class Measured:
    found: dict[str, list[Figures]]

    def add(self, way: str, number: int, figures: Figures) -> None:
        shown = "   ".join(f"{key} {value:,.0f}" for key, value in figures.items())
        print(f"  session, round {number}: {way:12} {shown} ms", flush=True)
        self.found[way].append(figures)

    def results(self) -> Results:
        return {
            "session": {KEYS[way]: _spread(self.found[way]) for way in KEYS},
            "session_parts_ms": {way: _medians(self.found[way]) for way in KEYS},
        }


def _warm(running: Deployment, measured: Measured, rounds: int) -> None:
    """A new session from the pool, and one that was frozen; while it freezes, the pool refills."""
    agent = _scripted_agent(running)
    with running.session(agent_id=agent) as sleeper:
        first_byte_ms(running.way(sleeper), _PATH)
        for number in range(1, rounds + 1):
            running.wait_for_spare()
            running.wait_for_state(sleeper["id"], "frozen")
            measured.add("new", number, _claimed(running, agent))
            running.wait_for_spare()
            wait_for_calm()
            measured.add("frozen", number, _woken(running, sleeper))


def _cold(running: Deployment, docker: Any, measured: Measured, rounds: int) -> None:
    """Starts without a pool beside bare ones; who is first alternates."""
    made = running.gateway.post("/api/agents", json=_WITHOUT_POOL).raise_for_status().json()
    running.wait_for_spare()
    both = [partial(_ours, running, made["id"]), partial(_bare, docker)]
    for number in range(1, rounds + 1):
        both.reverse()
        for side in both:
            for way, figures in side():
                measured.add(way, number, figures)


def _ours(running: Deployment, agent: str) -> Iterator[tuple[str, Figures]]:
    with running.session(agent_id=agent) as made:
        yield "new, no pool", _started(running, made)
        running.gateway.post(f"/api/sessions/{made['id']}/stop").raise_for_status()
        running.wait_for_state(made["id"], "stopped")
        yield "stopped", _started(running, made)


def _bare(docker: Any) -> Iterator[tuple[str, Figures]]:
    with bare_container(docker, DEFAULT_IMAGE, _PATH) as container:
        wait_for_calm()
        yield "bare new", _bare_figures(container.create())
        container.stop()
        wait_for_calm()
        yield "bare stopped", _bare_figures(container.start())
        wait_for_calm()
        container.freeze()
        yield "bare frozen", _bare_figures(container.thaw())


def _claimed(running: Deployment, agent: str) -> Figures:
    with running.session(agent_id=agent) as made:
        figures = _started(running, made)
        if made["id"] in running.view(made["id"])["volume"]:
            raise SystemExit("A new session did not get the container that waited in the pool.")
    return figures


def _started(running: Deployment, made: dict[str, Any]) -> Figures:
    """Time the request that starts it, and see from the orchestrator what the time was for."""
    wait_for_calm()
    whole = first_byte_ms(running.way(made), _PATH)
    answered = first_byte_ms(running.way(made), _PATH)
    told = running.view(made["id"])["timings"]
    queued, created = _ms(told["queue_s"]), _ms(told["create_s"])
    booted, ready = _ms(told["boot_s"]), _ms(told["ready_s"])
    return {
        "whole": whole,
        "queued": queued,
        "created": created,
        "booted": booted,
        "checked": ready - created - booted,
        "beside": whole - queued - ready - answered,
        "answered": answered,
    }


def _woken(running: Deployment, made: dict[str, Any]) -> Figures:
    """The orchestrator keeps no times of a wake."""
    whole = first_byte_ms(running.way(made), _PATH)
    answered = first_byte_ms(running.way(made), _PATH)
    return {"whole": whole, "beside": whole - answered, "answered": answered}


def _bare_figures(start: Start) -> Figures:
    return {
        "whole": start.whole,
        "created": start.created,
        "booted": start.booted,
        "answered": start.answered,
    }


def _scripted_agent(running: Deployment) -> str:
    agents = running.gateway.get("/api/agents").raise_for_status().json()["agents"]
    found: str = agents[0]["id"]
    return found


def _ms(seconds: float | None) -> float:
    return (seconds or 0.0) * 1e3


def _spread(kept: list[Figures]) -> Figures:
    wholes = [figures["whole"] for figures in kept]
    p99 = quantiles(wholes, n=100, method="inclusive")[98] if len(wholes) > 1 else wholes[0]
    return {"p50": round(median(wholes), 1), "p99": round(p99, 1), "n": len(wholes)}


def _medians(kept: list[Figures]) -> Figures:
    return {part: round(median(figures[part] for figures in kept), 1) for part in kept[0]}
