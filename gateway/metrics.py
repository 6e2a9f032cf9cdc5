"""Counters and timers of the gateway, as Prometheus text.

Children of the labelled metrics are looked up once and kept: a label lookup per request would cost
more than the rest of the bookkeeping. No label holds an id of a person, session or conversation.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "opencode_gateway_requests", "Requests by route and status class.",
            ("route", "status"), registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "opencode_gateway_first_byte_seconds", "From a request's head to its answer's.",
            ("route",), buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._fallbacks = Counter(
            "opencode_gateway_fallbacks", "Requests served by the shared service instead.",
            ("reason",), registry=self.registry,
        )  # fmt: skip
        self._bytes = Counter(
            "opencode_gateway_body_bytes", "Body bytes relayed.", ("direction",),
            registry=self.registry,
        )  # fmt: skip
        self.orchestrator_connected = Gauge(
            "opencode_gateway_orchestrator_connected",
            "1 while the orchestrator's event stream is open.", registry=self.registry,
        )  # fmt: skip
        self._in = self._bytes.labels("in")
        self._out = self._bytes.labels("out")
        self._counted: dict[tuple[str, int], Counter] = {}
        self._timed: dict[str, Histogram] = {}

    def request(self, route: str, status: int, first_byte_s: float | None) -> None:
        """Count one request; `route` is `session`, `shared`, `gateway` or `none`."""
        key = (route, status // 100)
        counter = self._counted.get(key)
        if counter is None:
            label = f"{status // 100}xx" if status else "aborted"
            counter = self._counted[key] = self._requests.labels(route, label)
        counter.inc()
        if first_byte_s is not None:
            timer = self._timed.get(route)
            if timer is None:
                timer = self._timed[route] = self._seconds.labels(route)
            timer.observe(first_byte_s)

    def body(self, bytes_in: int, bytes_out: int) -> None:
        if bytes_in:
            self._in.inc(bytes_in)
        if bytes_out:
            self._out.inc(bytes_out)

    def fallback(self, reason: str) -> None:
        self._fallbacks.labels(reason).inc()

    def render(self) -> bytes:
        return generate_latest(self.registry)
