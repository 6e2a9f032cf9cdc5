"""What is open to one container, as the life of the container needs it: used or idle, spoken to.

It looks at exchanges and tunnels of the wire, and knows which of OpenCode's paths stay open without
being work. It keeps nothing.
"""

from collections.abc import Callable, Iterator, Sequence

from gateway import opencode, own_events
from gateway.routing import Interruption, Upstream
from gateway.wire.relay import Exchange
from gateway.wire.request_head import RequestHead
from gateway.wire.tunnel import Tunnel
from gateway.wire.upstream import Receiver


def is_used(upstream: Upstream) -> bool:
    """Whether anything that counts happened since this was last asked, or is in flight now."""
    # All are asked, since each remembers what it has told.
    found = [_counts(receiver) for receiver in upstream.pool.receivers()]
    return upstream.use.taken() or any(found)


def beat(upstream: Upstream) -> None:
    """Send each event stream the heartbeat that its container does not send now."""
    for exchange, head in _event_streams(upstream):
        exchange.interject(own_events.heartbeat(head.path))


def tell(upstream: Upstream, turns: Sequence[Interruption], workspace: str | None) -> None:
    """Tell each event stream of the unfinished turns that concern it."""
    for exchange, head in _event_streams(upstream):
        events = own_events.interrupted(head, turns, workspace)
        if events:
            exchange.say_when_due(events)


def end(upstream: Upstream) -> None:
    """End each event stream, as the loss of its server would."""
    for exchange, _ in list(_event_streams(upstream)):
        exchange.drain()


def listen(upstream: Upstream, told: Callable[[], None]) -> None:
    """Call `told` when a client next sends something into an upgraded connection."""
    for receiver in upstream.pool.receivers():
        if isinstance(receiver, Tunnel):
            receiver.tell_of_next_bytes(told)


def _counts(receiver: Receiver) -> bool:
    if isinstance(receiver, Tunnel):
        return receiver.has_moved()
    if not isinstance(receiver, Exchange) or receiver.outcome.head is None:
        return False
    path = receiver.outcome.head.path
    # An event stream that has not begun is still waited for.
    waits = path in opencode.EVENTS and receiver.outcome.first_byte is None
    return waits or not opencode.is_quiet(path)


def _event_streams(upstream: Upstream) -> Iterator[tuple[Exchange, RequestHead]]:
    for receiver in upstream.pool.receivers():
        if isinstance(receiver, Exchange):
            head = receiver.outcome.head
            if head is not None and head.path in opencode.EVENTS:
                yield receiver, head
