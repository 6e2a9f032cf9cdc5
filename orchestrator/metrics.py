"""What is counted of containers' lives, as Prometheus reads it. Nobody decides by these figures."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from orchestrator.containers import State, Timings

_PHASES = ("queue", "create", "boot", "ready")
_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_PREFIX = "opencode_gateway_container"


class Metrics:
    """Counts since this program was started; what there is now is told by the caller."""

    def __init__(self) -> None:
        self._events: Counter[tuple[str, str]] = Counter()
        self._below: Counter[tuple[str, str, float]] = Counter()
        self._sums: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._counts: Counter[tuple[str, str]] = Counter()

    def happened(self, event: str, why: str = "") -> None:
        """Count an event: `frozen`, `woken`, `stopped`, `ended`, `silent`, `start_failed` …"""
        self._events[event, why] += 1

    def started(self, kind: str, timings: Timings) -> None:
        """Note the phases of a start, `cold` or `claimed`, that led to a ready container."""
        for phase in _PHASES:
            seconds = getattr(timings, f"{phase}_s")
            if seconds is not None:
                self._observe(kind, phase, seconds)

    def rendered(self, states: Iterable[State], waiting: int, spares: int) -> str:
        lines = [*self._gauges(states, waiting, spares), *self._counters(), *self._histogram()]
        return "\n".join(lines) + "\n"

    def _observe(self, kind: str, phase: str, seconds: float) -> None:
        self._counts[kind, phase] += 1
        self._sums[kind, phase] += seconds
        for bound in _BOUNDS:
            if seconds <= bound:
                self._below[kind, phase, bound] += 1

    def _gauges(self, states: Iterable[State], waiting: int, spares: int) -> Iterator[str]:
        now = Counter(states)
        yield f"# TYPE {_PREFIX}s gauge"
        for state in State:
            yield f'{_PREFIX}s{{state="{state.value}"}} {now[state]}'
        yield f"# TYPE {_PREFIX}_spares gauge"
        yield f"{_PREFIX}_spares {spares}"
        yield f"# TYPE {_PREFIX}_starts_waiting gauge"
        yield f"{_PREFIX}_starts_waiting {waiting}"

    def _counters(self) -> Iterator[str]:
        yield f"# TYPE {_PREFIX}_events_total counter"
        for (event, why), count in sorted(self._events.items()):
            yield f'{_PREFIX}_events_total{{event="{event}",why="{why}"}} {count}'

    def _histogram(self) -> Iterator[str]:
        name = f"{_PREFIX}_start_seconds"
        yield f"# TYPE {name} histogram"
        for (kind, phase), count in sorted(self._counts.items()):
            labels = f'kind="{kind}",phase="{phase}"'
            for bound in _BOUNDS:
                yield f'{name}_bucket{{{labels},le="{bound}"}} {self._below[kind, phase, bound]}'
            yield f'{name}_bucket{{{labels},le="+Inf"}} {count}'
            yield f"{name}_sum{{{labels}}} {self._sums[kind, phase]:.3f}"
            yield f"{name}_count{{{labels}}} {count}"
