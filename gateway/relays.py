"""What the wire is to do with a request whose upstream is chosen: how it is passed on, and to what.

One relay serves all requests of a sender to the same upstream. Which upstream it is has been
decided; what is done when none answers is decided by whoever asked for the relay.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from gateway import marks, opencode, refusals, streams
from gateway.credentials import Caller, without_auth_token
from gateway.forwarding import Forwarding
from gateway.noticing import Noticing
from gateway.parts import Parts
from gateway.reading import Made, Sender
from gateway.routing import Ask, Upstream
from gateway.via import Via
from gateway.wire.door import Client, Decision, Failure, Relay
from gateway.wire.request_head import RequestHead

logger = logging.getLogger(__name__)

_NOT_IN_PLACE = ("public", "conversation")

# Called with the caller, whether this was the second try, and what could not be passed on.
Failed = Callable[[Caller, bool, RequestHead, Client, Failure], Decision]


class Relays:
    def __init__(self, parts: Parts, noticing: Noticing, via: Via, failed: Failed) -> None:
        scheme = parts.settings.public_url.partition("://")[0].encode()
        self._forwarding = Forwarding(parts.cookies, scheme, via)
        self._metrics = parts.metrics
        self._shared = parts.shared
        self._noticing = noticing
        self._failed = failed

    def to_session(
        self,
        head: RequestHead,
        client: Client,
        sender: Sender,
        caller: Caller,
        upstream: Upstream,
        *,
        again: bool = False,
    ) -> Relay:
        assert caller.session_id is not None
        if head.path not in opencode.QUIET:
            upstream.use.asked = True
        if head.method == b"POST":
            self._noticing.ticket_asked(head.path, caller.session_id)
        # What is added says the host, which an absolute target names instead of the fields.
        usual = not again and head.host is head.fields.host
        relay = sender.relay(caller, upstream, client.host) if usual else None
        if relay is None:
            relay = self._forwarding.relay(
                head,
                client,
                upstream,
                mark=marks.SESSION,
                held_under=streams.names(caller),
                otherwise=partial(self._failed, caller, again),
            )
            if usual:
                sender.made = Made(relay, caller, upstream, client.host)
        target = without_auth_token(head.target)
        return relay if target is head.target else replace(relay, target=target)

    def to_shared(
        self,
        head: RequestHead,
        client: Client,
        ask: Ask,
        caller: Caller | None,
        reason: str,
        *,
        doubt: Callable[[], None],
    ) -> Relay:
        """`doubt` is told when the shared service gives no answer."""
        assert self._shared is not None
        session_id = caller.session_id if caller else None
        if session_id is not None and reason not in _NOT_IN_PLACE:
            self._count_fallback(session_id, reason)
        mark = marks.shared(reason)
        relay = self._forwarding.relay(
            head,
            client,
            self._shared,
            mark=mark,
            held_under=streams.names(caller, fallback_events=ask.path in opencode.EVENTS)
            if caller
            else (),
            otherwise=partial(_shared_failed, mark, doubt),
        )
        relay.target = without_auth_token(head.target)
        if session_id is not None and opencode.creates_conversation(ask.method, ask.path):
            relay.witness = partial(self._noticing.conversation_created, session_id)
            # The answer names the new conversation; uncompressed, it can be read in passing.
            relay.without |= {b"accept-encoding"}
        return relay

    def _count_fallback(self, session_id: str, reason: str) -> None:
        self._metrics.fallback(reason)
        logger.warning("served by the shared service session=%s reason=%s", session_id, reason)


def _shared_failed(
    mark: bytes, doubt: Callable[[], None], _head: RequestHead, _client: Client, failure: Failure
) -> Decision:
    doubt()
    return refusals.no_answer(failure, mark)
