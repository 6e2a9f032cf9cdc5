"""One line for each request: who moved what where, how long it took, and how it ended.

What a request says of itself is shown as its head lets it be. It counts the same in metrics.
"""

import logging

from gateway.marks import route_of
from gateway.metrics import Metrics
from gateway.wire.door import Outcome

logger = logging.getLogger("gateway.access")


class AccessLog:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def finished(self, outcome: Outcome) -> None:
        route = route_of(outcome.mark) if outcome.mark else "-"
        kind = route.partition(";")[0] if outcome.mark else outcome.upstream
        first = None if outcome.first_byte is None else outcome.first_byte - outcome.started
        self._metrics.request("none" if kind == "-" else kind, outcome.status, first)
        self._metrics.body(outcome.bytes_in, outcome.bytes_out)
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s", _line(outcome, route))


def _line(outcome: Outcome, route: str) -> str:
    request = outcome.head.loggable() if outcome.head else "-"
    took = (outcome.ended - outcome.started) * 1000
    trouble = f" trouble={outcome.trouble!r}" if outcome.trouble else ""
    return (
        f"{outcome.client.host} {request} status={outcome.status} route={route!r}"
        f" upstream={outcome.upstream} in={outcome.bytes_in} out={outcome.bytes_out}"
        f" ms={took:.1f}{trouble}"
    )
