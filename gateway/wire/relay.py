"""One exchange: a request to an upstream and its answer back, byte for byte, both ways at once.

Back-pressure is passed through (who cannot write stops the other's reading), an aborted client
aborts the upstream, and a lost upstream is visible to the client as truncation. It knows no route
and retries only what no upstream can have acted on.
"""

import asyncio
from dataclasses import replace
from time import monotonic

from gateway.wire.delivery import Delivery, deliver
from gateway.wire.door import Failure, Outcome, Relay
from gateway.wire.fields import BadHead
from gateway.wire.framing import BadFraming, Chunked, UntilClose
from gateway.wire.handshake import check_switched
from gateway.wire.request_head import RequestHead
from gateway.wire.response_head import ResponseHead, check_begun, parse_response
from gateway.wire.seam import Seam, is_event_stream, seam_of
from gateway.wire.talk import ClientSide
from gateway.wire.tasks import Tasks
from gateway.wire.tunnel import Tunnel
from gateway.wire.upstream import UpstreamConnection
from gateway.wire.witness import Witness

HANDSHAKE_S = 30.0
# Each is parsed and passed on at once: without a bound, an upstream could keep us at nothing else.
_MOST_INTERIM = 16
_LONGEST_HEAD = 64 * 1024
# RFC 9110 §9.2.2; PUT and DELETE are left out: OpenCode's have effects that a repeat would double.
_REPEATABLE = frozenset((b"GET", b"HEAD", b"OPTIONS"))


class Exchange:
    __slots__ = (
        "_buffer",
        "_client",
        "_connecting",
        "_delivery",
        "_head",
        "_heard",
        "_interim",
        "_relay",
        "_request_done",
        "_response",
        "_seam",
        "_tasks",
        "_upstream",
        "_witness",
        "outcome",
    )

    def __init__(
        self, client: ClientSide, head: RequestHead, relay: Relay, outcome: Outcome, tasks: Tasks
    ) -> None:
        self._client = client
        self._head = head
        self._relay = relay
        self.outcome = outcome
        self._tasks = tasks
        self._upstream: UpstreamConnection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._request_done = not head.has_body
        self._response: ResponseHead | None = None
        self._buffer = b""
        self._heard = False
        self._interim = 0
        self._delivery: Delivery | None = None
        self._witness: Witness | None = None
        self._seam: Seam | None = None

    # What the client's connection calls

    def begin(self) -> None:
        """Send the head at once over an idle connection, or after opening a new one."""
        self.outcome.upstream = self._relay.pool.name
        self.outcome.mark = self._relay.mark
        connection = self._relay.pool.take()
        if connection is not None:
            self._attach(connection)
        else:
            self._connecting = self._tasks.start(self._connect(), "connect")

    def request_bytes(self, piece: bytes, done: bool) -> None:
        self._request_done = done
        if self._upstream is not None and piece:
            self.outcome.bytes_in += len(piece)
            self._upstream.transport.write(piece)

    def client_writable(self, writable: bool) -> None:
        if self._upstream is None or self._upstream.transport.is_closing():
            return
        if writable:
            self._upstream.transport.resume_reading()
        else:
            self._upstream.transport.pause_reading()

    def client_ended(self) -> bool:
        """Take FIN for gone: it cannot be told from a closed browser tab until a write fails."""
        return False

    def abandon(self) -> None:
        """The client is gone, or will be answered otherwise: let the upstream go."""
        if self._connecting is not None and self._connecting is not asyncio.current_task():
            self._connecting.cancel("the exchange is over")
        self._let_go()

    def revoke(self) -> None:
        self.outcome.trouble = "revoked"
        self._truncate()

    def drain(self) -> None:
        """Shutting down: an endless stream ends now, anything else may finish."""
        if self._response is not None and is_event_stream(self._response):
            self._truncate()

    def expire(self) -> None:
        self._fail(Failure("timeout", "The upstream did not answer the handshake in time."))

    # What is said to the client beside the upstream

    def interject(self, events: bytes) -> bool:
        """Put events of ours into the stream, if they can stand here and would be read."""
        seam = self._seam
        if seam is None or not seam.is_open or self._client.clogged:
            return False
        self._say(seam, events)
        return True

    def say_when_due(self, events: bytes) -> None:
        """Have events of ours follow the stream's first, or the next that ends."""
        if self._seam is None:
            self._relay = replace(self._relay, greeting=self._relay.greeting + events)
        else:
            self._seam.waiting += events
            self._say_what_is_due(self._seam)

    def _say_what_is_due(self, seam: Seam) -> None:
        if seam.is_due:
            self._say(seam, seam.take_waiting())

    def _say(self, seam: Seam, events: bytes) -> None:
        said = seam.framed(events)
        self.outcome.bytes_out += len(said)
        self._client.write(said)

    # What the upstream's connection calls

    def upstream_bytes(self, data: bytes) -> None:
        try:
            if self._delivery is None:
                self._head_bytes(data)
            else:
                self._pass_on(b"", data, self._delivery)
        except BadHead as bad:
            self._fail(Failure("invalid", bad.sentence))
        except BadFraming as bad:
            self.outcome.trouble = str(bad)
            self._truncate()

    def upstream_ended(self) -> None:
        if self._delivery is not None and isinstance(self._delivery.body, UntilClose):
            self._end(self._delivery, reusable=False)
        else:
            self.upstream_lost()

    def upstream_lost(self) -> None:
        if self._response is not None:
            self.outcome.trouble = "upstream gone"
            self._truncate()
        elif self._may_repeat():
            self._let_go()
            self._connecting = self._tasks.start(self._connect(), "connect")
        else:
            self._fail(Failure("closed", "The upstream closed the connection before it answered."))

    def upstream_writable(self, writable: bool) -> None:
        self._client.hold_reading(not writable)

    # The request's way

    async def _connect(self) -> None:
        try:
            connection = await self._relay.pool.connect()
        except OSError as error:
            reason = str(error) or "timed out"
            self._fail(Failure("unreachable", f"No connection: {reason}."))
        else:
            self._attach(connection)

    def _attach(self, connection: UpstreamConnection) -> None:
        relay = self._relay
        self._upstream = connection
        connection.serve(self)
        connection.transport.write(
            self._head.for_upstream(relay.target or self._head.target, relay.without, relay.added)
        )
        if self._head.upgrade:
            self._client.deadline = asyncio.get_running_loop().time() + HANDSHAKE_S
        if not self._request_done:
            self._client.send_body()

    def _may_repeat(self) -> bool:
        """Whether a lost request may be sent again: only a stale pooled connection explains it."""
        return (
            self._upstream is not None
            and self._upstream.used
            and not self._heard
            and self._head.method in _REPEATABLE
            and not self._head.has_body
        )

    # The response's way

    def _head_bytes(self, data: bytes) -> None:
        self._heard = True
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = parse_response(self._buffer[: end + 4])
            self._buffer = self._buffer[end + 4 :]
            if not head.interim:
                rest, self._buffer = self._buffer, b""
                self._respond(head, rest)
                return
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise BadHead(502, "The upstream sends interim answers without end.")
            if self._head.minor == 1:
                self._client.write(self._for_client(head, b""))
        if len(self._buffer) > _LONGEST_HEAD:
            raise BadHead(502, "The upstream's head is too long.")
        check_begun(self._buffer)

    def _respond(self, head: ResponseHead, rest: bytes) -> None:
        if head.status == 101:
            self._switch(head, rest)
            return
        self._client.deadline = None
        self._response = head
        self._note(head)
        if head.length == len(rest) and self._takes_it_whole(head):
            self.outcome.bytes_out = len(rest)
            self._client.write(self._for_client(head, self._relay.mark) + rest)
            self._complete(keeps_client=True, reusable=True)
            return
        delivery = self._delivery = deliver(
            self._head, head, draining=self._client.draining, hidden=self._relay.hidden
        )
        if self._relay.witness is not None:
            as_sent = isinstance(delivery.body, Chunked) and self._head.minor == 1
            self._witness = Witness(self._relay.witness, chunked=as_sent)
        self._seam = seam_of(head, delivery, self._relay.greeting)
        first = self._for_client(head, delivery.lines + self._relay.mark)
        try:
            self._pass_on(first, rest, delivery)
        except BadFraming as bad:
            # Nothing was written yet, so that it can still be told.
            raise BadHead(502, str(bad)) from bad
        if self._client.draining and not delivery.body.done:
            self.drain()

    def _takes_it_whole(self, head: ResponseHead) -> bool:
        """Whether an answer that came in one piece goes out as it is.

        As most do; a `Delivery` would say nothing else, and costs a quarter of the exchange.
        """
        request = self._head
        return (
            request.keep_alive
            and request.minor == 1
            and not head.bodyless(request.method)
            and self._relay.witness is None
            and not self._client.draining
        )

    def _for_client(self, head: ResponseHead, added: bytes) -> bytes:
        return head.for_client(added, self._relay.hidden, self._relay.refuse_cookie)

    def _note(self, head: ResponseHead) -> None:
        self.outcome.status = head.status
        self.outcome.first_byte = monotonic()

    def _pass_on(self, first: bytes, data: bytes, delivery: Delivery) -> None:
        """Write `first` (the head, once) and what of `data` belongs to the body, in one piece."""
        piece, surplus = delivery.body.feed(data)
        self.outcome.bytes_out += len(piece)
        if self._witness is not None:
            self._witness.see(piece)
        seam = self._seam
        if seam is not None:
            seam.see(piece)
        if delivery.encode and piece:
            piece = b"%x\r\n%b\r\n" % (len(piece), piece)
        if first or piece:
            self._client.write(first + piece if first else piece)
        if seam is not None and seam.waiting:
            self._say_what_is_due(seam)
        if delivery.body.done:
            self._end(delivery, reusable=not surplus)

    def _end(self, delivery: Delivery, *, reusable: bool) -> None:
        assert self._response is not None
        if delivery.encode:
            self._client.write(b"0\r\n\r\n")
        if self._witness is not None:
            self._witness.tell(self._response.status)
        self._complete(keeps_client=delivery.keeps_client, reusable=reusable)

    def _complete(self, *, keeps_client: bool, reusable: bool) -> None:
        """Let both sides go on: the upstream's connection if nothing of this is left on it."""
        assert self._response is not None
        upstream = self._detach()
        if upstream is not None:
            # A server that refused to switch often closes behind its answer, as OpenCode does
            # with a used ticket; the next request, a POST maybe, must not meet that close.
            reusable = reusable and not self._head.upgrade
            if reusable and self._response.keep_alive and self._request_done:
                upstream.give_back()
            else:
                upstream.abort()
        self._client.finished(keeps_client)

    def _switch(self, head: ResponseHead, rest: bytes) -> None:
        """Turn both connections into one tunnel (RFC 9110 §7.8), if that is what was asked for."""
        upstream = self._upstream
        if upstream is None or not self._head.upgrade:
            raise BadHead(502, "The upstream switched to a protocol nobody asked for.")
        check_switched(self._head.fields, head)
        self._note(head)
        self._client.deadline = None
        line = b"Connection: Upgrade\r\nUpgrade: websocket\r\n" + self._relay.mark
        self._client.write(self._for_client(head, line))
        tunnel = Tunnel(self._client, upstream, self.outcome)
        self._detach()
        upstream.serve(tunnel)
        self._client.become(tunnel)
        if rest:
            tunnel.upstream_bytes(rest)
        if self._client.draining:
            tunnel.drain()

    # Endings

    def _fail(self, failure: Failure) -> None:
        """No answer came: ask what to do instead."""
        self.outcome.trouble = failure.reason
        self.abandon()
        self._client.decide_again(self._relay.otherwise(self._head, self.outcome.client, failure))

    def _truncate(self) -> None:
        self.abandon()
        self._client.truncated(abort=self._delivery is not None and self._delivery.until_close)

    def _let_go(self) -> None:
        upstream = self._detach()
        if upstream is not None:
            upstream.abort()

    def _detach(self) -> UpstreamConnection | None:
        upstream, self._upstream = self._upstream, None
        return upstream
