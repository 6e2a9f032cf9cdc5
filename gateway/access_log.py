"""One line for each request: who moved what where, how long it took, and how it ended.

What a request says of itself is shown as its head lets it be. It counts the same in metrics. All
this is done in batches, four times a second: a record and a write for each request would cost more
than relaying it did, and many lines made in a row cost half of what each makes alone.
"""

import logging
import time

import anyio

from gateway.marks import route_of
from gateway.metrics import Metrics
from gateway.wire.door import Outcome

logger = logging.getLogger("gateway.access")

_EVERY_S = 0.25
# A hundred at a time would hold up everybody for a quarter of a millisecond, which is what a slow
# request takes; and the garbage collector looks through what 700 new objects are kept for.
_AT_A_TIME = 16
_MOST_LINES = 256


class AccessLog:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: list[Outcome] = []
        self._lines: list[str] = []
        self._routes: dict[bytes, tuple[str, str]] = {b"": ("-", "")}
        # Whoever asks for the numbers is told of the last request too.
        metrics.settle = self.flush

    def finished(self, outcome: Outcome) -> None:
        self._waiting.append(outcome)
        if len(self._waiting) >= _AT_A_TIME:
            self._take_in()
            if len(self._lines) >= _MOST_LINES:
                self._write()

    async def run(self) -> None:
        """Hand lines on until cancelled, and the last of them then."""
        try:
            while True:
                await anyio.sleep(_EVERY_S)
                self.flush()
        finally:
            self.flush()

    def flush(self) -> None:
        """Count and hand on whatever has gathered."""
        self._take_in()
        self._write()

    def _write(self) -> None:
        """Hand on the lines as one record; they bear their own times."""
        lines, self._lines = self._lines, []
        if lines:
            logger.info("\n".join(lines))

    def _take_in(self) -> None:
        """Count what has ended, and make its lines."""
        ended, self._waiting = self._waiting, []
        shown = logger.isEnabledFor(logging.INFO)
        since_boot = time.time() - time.monotonic()
        second, stamp = 0, ""
        for outcome in ended:
            route, kind = self._routes.get(outcome.mark) or self._route(outcome.mark)
            self._count(outcome, kind)
            if shown:
                at = outcome.ended + since_boot
                if int(at) != second:
                    second, stamp = int(at), _stamp(at)
                self._lines.append(
                    _line(outcome, route, f"{stamp},{int((at - second) * 1000):03d}")
                )

    def _count(self, outcome: Outcome, kind: str) -> None:
        first = outcome.first_byte
        if not kind:
            kind = "none" if outcome.upstream == "-" else outcome.upstream
        self._metrics.request(
            kind,
            outcome.status,
            None if first is None else first - outcome.started,
            outcome.bytes_in,
            outcome.bytes_out,
        )

    def _route(self, mark: bytes) -> tuple[str, str]:
        route = route_of(mark)
        found = self._routes[mark] = (route, route.partition(";")[0])
        return found


def _line(outcome: Outcome, route: str, at: str) -> str:
    head = outcome.head
    request = head.loggable() if head else "-"
    trouble = f" trouble={outcome.trouble!r}" if outcome.trouble else ""
    return (
        f"{at} INFO gateway.access: {outcome.client.host} {request} status={outcome.status}"
        f" route='{route}' upstream={outcome.upstream} in={outcome.bytes_in}"
        f" out={outcome.bytes_out} ms={(outcome.ended - outcome.started) * 1000:.1f}{trouble}"
    )


def _stamp(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
