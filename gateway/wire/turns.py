"""The turns of a client connection: one request after another, each until its answer is over.

The middle of a connection, above its socket. It reads heads, gives answers of our own, and passes
to the next request, also to one that was sent ahead; how a request comes to its answer is the upper
half's (`connection`).
"""

import asyncio
from time import monotonic

from gateway.wire.client_socket import ClientSocket
from gateway.wire.date import date_line
from gateway.wire.delivery import answered
from gateway.wire.door import Answer, Client, Outcome
from gateway.wire.fields import BadHead
from gateway.wire.framing import NO_BODY, Body
from gateway.wire.head_buffer import HeadBuffer
from gateway.wire.request_head import RequestHead, parse_request
from gateway.wire.talk import Talk
from gateway.wire.wiring import Wiring


class Turns(ClientSocket):
    """`_talk` is what the current request is busy with, `_outcome` what is known of it so far."""

    def __init__(self, wiring: Wiring, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(wiring.deadlines, loop, wiring.early_bytes)
        self._wiring = wiring
        self.draining = False
        self._heads = HeadBuffer(wiring.limits)
        self._on_bytes = self._head_bytes
        self._head: RequestHead | None = None
        self._outcome: Outcome | None = None
        self._body: Body = NO_BODY
        self._talk: Talk | None = None
        self._resting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        host, port, *_ = transport.get_extra_info("peername") or ("", 0)
        self._client = Client(host, port)
        self.deadline = self._loop.time() + self._wiring.head_s

    # A request's head

    def _head_bytes(self, data: bytes) -> None:
        started = self._heads.held
        try:
            whole = self._heads.feed(data)
            head = (
                parse_request(whole[0], self._wiring.limits, self._wiring.blocks) if whole else None
            )
        except BadHead as bad:
            self._refuse(bad)
            return
        if whole is not None and head is not None:
            self._early = whole[1]
            self._begin(head)
        elif self._heads.held and not started:
            self.deadline = self._loop.time() + self._wiring.head_s

    def _begin(self, head: RequestHead) -> None:
        self._head = head
        self._outcome = Outcome(head, self._client, monotonic())
        self.deadline = None
        self._on_bytes = self._keep_bytes
        self._body = NO_BODY
        self._take(head)

    def _take(self, head: RequestHead) -> None:
        """Have the request answered: the upper half's."""
        raise NotImplementedError

    # Its end

    def finished(self, keep_alive: bool) -> None:
        """The response is complete: go on with the next request, or close."""
        complete = self._body.done
        self._record()
        if self._lost:
            return
        if complete and keep_alive:
            self._next()
            if self.draining:
                # Its head went out before the shutdown and promised that the connection stays.
                self.deadline = self._loop.time() + self._wiring.last_request_s
        elif complete and not self._early:
            self._close()
        else:
            self._linger()

    def truncated(self, abort: bool) -> None:
        self._record()
        if self._lost:
            return
        if abort:
            self._reset()
        else:
            self._close()

    def part(self) -> None:
        self._record()
        if not self._lost:
            self._linger()

    def _answer(self, answer: Answer, *, last: bool = False) -> None:
        assert self._outcome is not None
        head = self._head
        # A body that nobody reads must not be taken for the next request.
        keep = head is not None and head.keep_alive and not head.has_body
        keep = keep and not self.draining and not last
        first, body = answered(answer, head, keep=keep, date=date_line())
        self._outcome.status = answer.status
        self._outcome.first_byte = monotonic()
        self._outcome.bytes_out = len(body)
        self.write(first + body)
        self._record()
        if self._lost:
            return
        if keep:
            self._next()
        else:
            self._linger()

    def _refuse(self, bad: BadHead) -> None:
        self._head = None
        self._outcome = Outcome(None, self._client, monotonic(), trouble=bad.sentence)
        self._heads.clear()
        self._early = b""
        self._answer(self._wiring.door.refuse(bad.status, bad.sentence))

    def _record(self) -> None:
        self._talk = None
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            outcome.ended = monotonic()
            self._wiring.door.finished(outcome)

    def _next(self) -> None:
        """Turn to the next request, once the client has read enough of its last answer."""
        self._head = None
        self._resting = self.clogged
        self.deadline = self._loop.time() + self._wiring.idle_s
        if self._resting:
            self._on_bytes = self._keep_bytes
        elif self._early:
            self._loop.call_soon(self._pipelined)
        else:
            self.hold_reading(False)
            self._on_bytes = self._head_bytes

    def _pipelined(self) -> None:
        """Take the next request that already came; from the loop, so that depth cannot grow."""
        if self.transport.is_closing():
            return
        self._on_bytes = self._head_bytes
        # Else each small request that came early would let another read in, without a bound.
        if len(self._early) <= self._early_bytes:
            self.hold_reading(False)
        self._head_bytes(self._take_early())
        if self._heads.held:
            self.hold_reading(False)
