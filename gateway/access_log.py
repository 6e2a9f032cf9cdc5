"""One line for each request: who moved what where, how long it took, and how it ended.

What a request says of itself is shown as its head lets it be. It counts the same in metrics. Lines
are handed on in batches, four times a second: a record and a write for each would cost more than
relaying the request did.
"""

import logging
import time

import anyio

from gateway.marks import route_of
from gateway.metrics import Metrics
from gateway.wire.door import Outcome

logger = logging.getLogger("gateway.access")

_EVERY_S = 0.25
_MOST_LINES = 1000


class AccessLog:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lines: list[str] = []
        self._routes: dict[bytes, tuple[str, str]] = {}
        self._second = 0
        self._stamp = ""

    def finished(self, outcome: Outcome) -> None:
        mark = outcome.mark
        if not mark:
            route = "-"
            kind = "none" if outcome.upstream == "-" else outcome.upstream
        else:
            route, kind = self._routes.get(mark) or self._route(mark)
        first = outcome.first_byte
        self._metrics.request(
            kind,
            outcome.status,
            None if first is None else first - outcome.started,
            outcome.bytes_in,
            outcome.bytes_out,
        )
        self._lines.append(self._line(outcome, route))
        if len(self._lines) >= _MOST_LINES:
            self.flush()

    async def run(self) -> None:
        """Hand lines on until cancelled, and the last of them then."""
        try:
            while True:
                await anyio.sleep(_EVERY_S)
                self.flush()
        finally:
            self.flush()

    def flush(self) -> None:
        """Hand on what has gathered as one record, whose lines bear their own times."""
        lines, self._lines = self._lines, []
        if lines and logger.isEnabledFor(logging.INFO):
            logger.info("\n".join(lines))

    def _route(self, mark: bytes) -> tuple[str, str]:
        route = route_of(mark)
        found = self._routes[mark] = (route, route.partition(";")[0])
        return found

    def _line(self, outcome: Outcome, route: str) -> str:
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        head = outcome.head
        trouble = f" trouble={outcome.trouble!r}" if outcome.trouble else ""
        return (
            f"{self._stamp},{int(now % 1 * 1000):03d} INFO gateway.access:"
            f" {outcome.client.host} {head.loggable() if head else '-'} status={outcome.status}"
            f" route='{route}' upstream={outcome.upstream} in={outcome.bytes_in}"
            f" out={outcome.bytes_out} ms={(outcome.ended - outcome.started) * 1000:.1f}{trouble}"
        )
