"""What the gateway is to reach beside the others, and whether it did; pure.

Most bars are ratios of two rows of one run, since only those compare; what a person waits for is
a bar by itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Results = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """`least` says whether the ratio must be at least or at most `ratio`."""

    work: str
    compared: str
    ratio: float
    least: bool
    find: Callable[[Results], tuple[float, float]]

    def reached(self, results: Results) -> float | None:
        """Return the ratio that was reached; None where it was not measured."""
        try:
            ours, theirs = self.find(results)
        except KeyError:
            return None
        return ours / theirs if theirs else None

    def holds(self, value: float) -> bool:
        return value >= self.ratio if self.least else value <= self.ratio


def _with(other: str, key: str, inner: str | None = None) -> Callable[[Results], Any]:
    def find(results: Results) -> tuple[float, float]:
        found = results[key]
        if inner is None:
            return found["gateway"], found[other]
        return found["gateway"][inner], found[other][inner]

    return find


def _idle(results: Results) -> tuple[float, float]:
    found = results["idle_streams_latency_us"]["gateway"]
    return found["p99_with"], found["p99_without"]


def _workers(results: Results) -> tuple[float, float]:
    found = results["workers_requests_per_second"]
    return found["2"], found["1"]


def _growth(results: Results) -> tuple[float, float]:
    return results["transfer_memory_growth_mib"]["gateway"], 1.0


def _session(key: str, other: str | None = None) -> Callable[[Results], Any]:
    def find(results: Results) -> tuple[float, float]:
        found = results["session"]
        return found[key]["p50"], 1.0 if other is None else found[other]["p50"]

    return find


_CHP = "configurable-http-proxy"
BARS = (
    Bar("requests/s", "nginx", 0.7, True, _with("nginx", "requests_per_second")),
    Bar("requests/s", _CHP, 6, True, _with(_CHP, "requests_per_second")),
    Bar("p99 of these", "nginx", 1.5, False, _with("nginx", "latency_us", "p99")),
    Bar("download", "nginx", 1, True, _with("nginx", "download_mb_per_s")),
    Bar("download", "haproxy", 0.5, True, _with("haproxy", "download_mb_per_s")),
    Bar("upload", "nginx", 1, True, _with("nginx", "upload_mb_per_s")),
    Bar("upload", "haproxy", 0.5, True, _with("haproxy", "upload_mb_per_s")),
    Bar("memory grown by transfers", "1 MiB", 4, False, _growth),
    Bar("events/s", "nginx", 0.8, True, _with("nginx", "sse_events_per_second")),
    Bar("p50 of the delay added", "nginx", 1.3, False, _with("nginx", "sse_added_delay_us", "p50")),
    Bar(
        "WebSocket messages/s", "nginx", 0.8, True, _with("nginx", "websocket_messages_per_second")
    ),
    Bar("memory of an idle stream", "nginx", 1, False, _with("nginx", "idle_stream_kib")),
    Bar("p99 with idle streams", "without them", 2, False, _idle),
    Bar("two workers", "one", 1.7, True, _workers),
    Bar("first byte of a new session", "1 ms", 150, False, _session("first_byte_new_ms")),
    Bar("… of a frozen one", "1 ms", 60, False, _session("first_byte_frozen_ms")),
    Bar(
        "… of a new one without a pool",
        "bare start",
        1.1,
        False,
        _session("first_byte_new_without_pool_ms", "bare_start_ms"),
    ),
    Bar(
        "… of a stopped one",
        "bare start",
        1.1,
        False,
        _session("first_byte_stopped_ms", "bare_start_stopped_ms"),
    ),
)
