"""Counters and timers of the gateway, as Prometheus text.

Plain numbers while requests pass, made into metrics when somebody asks: a counter of
`prometheus_client` costs 0.5 µs and a histogram 1 µs at each request, these a tenth. A snapshot is
JSON, so that several workers' can be summed. No label holds an id of a person, session or
conversation.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from gateway.workers.totals import Snapshot, folded

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BOUNDS = [*(f"{float(bound):g}" for bound in _SECONDS), "+Inf"]


class Metrics:
    """`settle` is called before the numbers are told, for those who count in batches."""

    def __init__(self) -> None:
        self.orchestrator_connected = False
        self.settle: Callable[[], None] = _nothing
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._fallbacks: defaultdict[str, int] = defaultdict(int)
        self._counts: dict[str, list[int]] = {}
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._bytes_in = 0
        self._bytes_out = 0

    def request(
        self,
        route: str,
        status: int,
        first_byte_s: float | None,
        bytes_in: int = 0,
        bytes_out: int = 0,
    ) -> None:
        """Count one request; `route` is `session`, `shared`, `gateway` or `none`."""
        self._requests[route, status // 100] += 1
        self._bytes_in += bytes_in
        self._bytes_out += bytes_out
        if first_byte_s is not None:
            counts = self._counts.get(route)
            if counts is None:
                counts = self._counts[route] = [0] * len(_BOUNDS)
            counts[bisect_left(_SECONDS, first_byte_s)] += 1
            self._sums[route] += first_byte_s

    def fallback(self, reason: str) -> None:
        self._fallbacks[reason] += 1

    def snapshot(self) -> Snapshot:
        """Return everything counted so far, as JSON can hold it."""
        self.settle()
        return {
            "requests": [[*key, count] for key, count in self._requests.items()],
            "fallbacks": list(self._fallbacks.items()),
            "bytes": [["in", self._bytes_in], ["out", self._bytes_out]],
            "seconds": {route: [c, self._sums[route]] for route, c in self._counts.items()},
            "orchestrator_connected": self.orchestrator_connected,
        }

    def render(self) -> bytes:
        return rendered([self.snapshot()])


def rendered(snapshots: Iterable[Snapshot]) -> bytes:
    """Return the sum of what several workers counted; connected are they if all of them are."""
    registry = CollectorRegistry()
    told = list(snapshots)
    registry.register(_Told(folded(told), all(each["orchestrator_connected"] for each in told)))
    return generate_latest(registry)


def _nothing() -> None:
    """Nobody counts in batches."""


class _Told(Collector):
    def __init__(self, total: Snapshot, connected: bool) -> None:
        self._total = total
        self._connected = connected

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily(
            "opencode_gateway_requests",
            "Requests by route and status class.",
            labels=("route", "status"),
        )
        for route, kind, count in self._total["requests"]:
            requests.add_metric((route, f"{kind}xx" if kind else "aborted"), count)
        yield requests
        yield self._seconds()
        fallbacks = CounterMetricFamily(
            "opencode_gateway_fallbacks",
            "Requests served by the shared service instead.",
            labels=("reason",),
        )
        for reason, count in self._total["fallbacks"]:
            fallbacks.add_metric((reason,), count)
        yield fallbacks
        moved = CounterMetricFamily(
            "opencode_gateway_body_bytes", "Body bytes relayed.", labels=("direction",)
        )
        for direction, count in self._total["bytes"]:
            moved.add_metric((direction,), count)
        yield moved
        yield GaugeMetricFamily(
            "opencode_gateway_orchestrator_connected",
            "1 while the orchestrator's event stream is open.",
            value=self._connected,
        )

    def _seconds(self) -> Metric:
        family = HistogramMetricFamily(
            "opencode_gateway_first_byte_seconds",
            "From a request's head to its answer's.",
            labels=("route",),
        )
        for route, (counts, seconds) in sorted(self._total["seconds"].items()):
            summed = zip(_BOUNDS, accumulate(counts), strict=True)
            buckets = [(bound, float(count)) for bound, count in summed]
            family.add_metric((route,), buckets, sum_value=seconds)
        return family
