"""One client connection, as uvicorn runs it: heads in, decisions asked, one exchange at a time.

The current state is the method that takes the next bytes: head, body, later (what came too early),
tunnel, or linger. It knows no path, cookie or upstream; all of that is behind the `Door`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.wire.deadlines import Deadlines
from gateway.wire.door import Answer, Client, Decision, Door, Local, Outcome, Relay, Wait
from gateway.wire.framing import BadFraming, Body, Chunked, Length, NoBody
from gateway.wire.head import BadHead, HeadBuffer, HeadLimits, RequestHead, parse_request
from gateway.wire.live import Live
from gateway.wire.local import App, LocalExchange, reason
from gateway.wire.relay import Exchange
from gateway.wire.tasks import Tasks
from gateway.wire.tunnel import Tunnel

_EARLY_BYTES = 64 * 1024
_LINGER_S = 2.0


@dataclass(frozen=True, slots=True)
class Wiring:
    """What all connections of a gateway share. Times in seconds."""

    door: Door
    tasks: Tasks = field(default_factory=Tasks)
    live: Live = field(default_factory=Live)
    deadlines: Deadlines = field(default_factory=Deadlines)
    limits: HeadLimits = field(default_factory=HeadLimits)
    head_s: float = 10.0
    idle_s: float = 75.0


class Talk(Protocol):
    """What a connection is busy with: an exchange, a tunnel, or our own application."""

    def request_bytes(self, piece: bytes, done: bool) -> None: ...

    def client_writable(self, writable: bool) -> None: ...

    def client_ended(self) -> bool:
        """The client sent FIN; return whether the talk goes on all the same."""
        ...

    def abandon(self) -> None:
        """Let the other side go, without another word to this connection."""
        ...

    def revoke(self) -> None: ...

    def drain(self) -> None: ...

    def expire(self) -> None: ...


class ClientConnection(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(
        self, wiring: Wiring, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        if not config.loaded:
            config.load()
        self._wiring = wiring
        self._app = cast(App, config.loaded_app)
        self._app_state = app_state
        self._connections = server_state.connections
        self._loop = _loop or asyncio.get_running_loop()
        self.deadline: float | None = None
        self.draining = False
        self._heads = HeadBuffer(wiring.limits)
        self._buffer = b""
        self._holding = False
        self._lost = False
        self._on_bytes: Callable[[bytes], None] = self._head_bytes
        self._head: RequestHead | None = None
        self._outcome: Outcome | None = None
        self._body: Body = NoBody()
        self._talk: Talk | None = None
        self._held_under: tuple[str, ...] = ()
        self._waiting: asyncio.Task[None] | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        host, port, *_ = transport.get_extra_info("peername") or ("", 0)
        self._client = Client(host, port)
        self._connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own classes
        self._wiring.deadlines.watch(self)
        self.deadline = self._loop.time() + self._wiring.head_s

    def data_received(self, data: bytes) -> None:
        self._on_bytes(data)

    def eof_received(self) -> bool:
        return self._talk is not None and self._talk.client_ended()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._connections.discard(self)
        self._wiring.deadlines.unwatch(self)
        if self._waiting is not None:
            self._waiting.cancel("the client has gone")
        if self._talk is not None:
            self._talk.abandon()
        if self._outcome is not None:
            self._outcome.trouble = self._outcome.trouble or "client gone"
            self._record()

    def pause_writing(self) -> None:
        if self._talk is not None:
            self._talk.client_writable(False)

    def resume_writing(self) -> None:
        if self._talk is not None:
            self._talk.client_writable(True)

    # uvicorn's, at shutdown

    def shutdown(self) -> None:
        """Take no further request; let what is short finish and end what is endless."""
        self.draining = True
        if self._outcome is None:
            self.transport.close()
        elif self._talk is not None:
            self._talk.drain()

    # States

    def _head_bytes(self, data: bytes) -> None:
        started = bool(self._heads)
        try:
            whole = self._heads.feed(data)
            head = parse_request(whole[0], self._wiring.limits) if whole else None
        except BadHead as bad:
            self._refuse(bad)
            return
        if whole is not None and head is not None:
            self._buffer = whole[1]
            self._begin(head)
        elif self._heads and not started:
            self.deadline = self._loop.time() + self._wiring.head_s

    def _body_bytes(self, data: bytes) -> None:
        assert self._talk is not None
        try:
            piece, rest = self._body.feed(data)
        except BadFraming as bad:
            self._break_off(bad)
            return
        done = self._body.done
        if done:
            self._on_bytes = self._later_bytes
            if rest:
                self._later_bytes(rest)
        self._talk.request_bytes(piece, done)

    def _later_bytes(self, data: bytes) -> None:
        """Keep what came before its time, up to a bound; beyond it the sender waits."""
        self._buffer += data
        if len(self._buffer) > _EARLY_BYTES:
            self.hold_reading(True)

    def _tunnel_bytes(self, data: bytes) -> None:
        assert self._talk is not None
        self._talk.request_bytes(data, False)

    def _linger_bytes(self, data: bytes) -> None:
        """Drop what the client still sends: closing now would reset our answer away."""

    # Decisions

    def _begin(self, head: RequestHead) -> None:
        self._head = head
        self._outcome = Outcome(head, self._client, self._loop.time())
        self.deadline = None
        self._on_bytes = self._later_bytes
        self._body = NoBody()
        self._act(self._wiring.door.decide(head, self._client))

    def _act(self, decision: Decision) -> None:
        if isinstance(decision, Relay):
            self._relay(decision)
        elif isinstance(decision, Wait):
            self._waiting = self._wiring.tasks.start(self._wait(decision), "decide")
        elif isinstance(decision, Local):
            self._local(decision)
        else:
            self._answer(decision)

    def _relay(self, relay: Relay) -> None:
        assert self._head is not None
        assert self._outcome is not None
        self._body = _body_of(self._head, decode=False)
        self._hold(relay.held_under)
        exchange = Exchange(self, self._head, relay, self._outcome, self._wiring.tasks)
        self._talk = exchange
        exchange.begin()

    def _local(self, local: Local) -> None:
        assert self._head is not None
        assert self._outcome is not None
        self._body = _body_of(self._head, decode=True)
        self._hold(local.held_under)
        exchange = LocalExchange(self, self._head, local, self._outcome, self._wiring.tasks)
        self._talk = exchange
        exchange.begin(self._app, self._app_state, self._client)

    async def _wait(self, wait: Wait) -> None:
        decision = await wait.work()
        self._waiting = None
        if not self._lost:
            self._act(decision)

    def _hold(self, keys: tuple[str, ...]) -> None:
        self._release()
        self._held_under = keys
        self._wiring.live.enter(keys, self)

    def _release(self) -> None:
        if self._held_under:
            self._wiring.live.leave(self._held_under, self)
            self._held_under = ()

    # What an exchange asks of us

    def write(self, data: bytes) -> None:
        if not self._lost:
            self.transport.write(data)

    def write_end(self) -> None:
        if not self._lost and not self.transport.is_closing():
            self.transport.write_eof()

    def hold_reading(self, held: bool) -> None:
        if held is self._holding or self._lost or self.transport.is_closing():
            return
        self._holding = held
        if held:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def send_body(self) -> None:
        if self._head is None or not self._head.has_body:
            return
        self._on_bytes = self._body_bytes
        early, self._buffer = self._buffer, b""
        self.hold_reading(False)
        if early:
            self._body_bytes(early)

    def become(self, tunnel: Tunnel) -> None:
        self._talk = tunnel
        self._on_bytes = self._tunnel_bytes
        early, self._buffer = self._buffer, b""
        self.hold_reading(False)
        if early:
            self._tunnel_bytes(early)

    def decide_again(self, decision: Decision) -> None:
        """The upstream gave no answer; nothing was sent to the client yet."""
        self._talk = None
        self._on_bytes = self._later_bytes
        self._release()
        if not self._lost:
            self._act(decision)

    def finished(self, keep_alive: bool) -> None:
        """The response is complete: go on with the next request, or close."""
        complete = self._body.done
        self._record()
        if self._lost:
            return
        if not complete:
            self._linger()
        elif not keep_alive or self.draining:
            self.transport.close()
        else:
            self._next()

    def truncated(self, abort: bool) -> None:
        self._record()
        if self._lost:
            return
        if abort:
            self.transport.abort()
        else:
            self.transport.close()

    def broke(self) -> None:
        self._talk = None
        self._release()
        self._answer(self._wiring.door.refuse(500, "The gateway failed to answer this request."))

    def revoke(self) -> None:
        if self._talk is not None:
            self._talk.revoke()

    def expire(self) -> None:
        if self._talk is not None:
            self._talk.expire()
        elif self._heads:
            self._refuse(BadHead(408, "The request's head did not arrive in time."))
        elif self._on_bytes == self._linger_bytes:
            self.transport.abort()
        else:
            self.transport.close()

    # Endings

    def _answer(self, answer: Answer) -> None:
        assert self._outcome is not None
        head = self._head
        unread = head is not None and head.has_body
        keep = head is not None and head.keep_alive and not self.draining and not unread
        close = b"" if keep else b"Connection: close\r\n"
        body = b"" if head is not None and head.method == b"HEAD" else answer.body
        self._outcome.status = answer.status
        self._outcome.first_byte = self._loop.time()
        self._outcome.bytes_out = len(body)
        self.write(
            b"HTTP/1.1 %d %b\r\n%bContent-Length: %d\r\n%b\r\n%b"
            % (answer.status, reason(answer.status), answer.headers, len(answer.body), close, body)
        )
        self._record()
        if keep:
            self._next()
        elif not self._lost:
            self._linger()

    def _refuse(self, bad: BadHead) -> None:
        self._head = None
        self._outcome = Outcome(None, self._client, self._loop.time(), trouble=bad.sentence)
        self._heads.clear()
        self._buffer = b""
        self._answer(self._wiring.door.refuse(bad.status, bad.sentence))

    def _break_off(self, bad: BadFraming) -> None:
        """A body that breaks its framing must never look complete to the upstream."""
        assert self._outcome is not None
        assert self._talk is not None
        self._outcome.trouble = str(bad)
        self._talk.abandon()
        if self._outcome.first_byte is None:
            self._answer(self._wiring.door.refuse(400, str(bad)))
        else:
            self.truncated(abort=True)

    def _record(self) -> None:
        self._release()
        self._talk = None
        outcome, self._outcome = self._outcome, None
        if outcome is not None:
            outcome.ended = self._loop.time()
            self._wiring.door.finished(outcome)

    def _next(self) -> None:
        self._head = None
        self.deadline = self._loop.time() + self._wiring.idle_s
        self.hold_reading(False)
        if self._buffer:
            self._loop.call_soon(self._pipelined)
        else:
            self._on_bytes = self._head_bytes

    def _pipelined(self) -> None:
        """Take the next request that already came; from the loop, so that depth cannot grow."""
        early, self._buffer = self._buffer, b""
        self._on_bytes = self._head_bytes
        if not self._lost:
            self._head_bytes(early)

    def _linger(self) -> None:
        """End our side and read on for a moment (RFC 9112 §9.6), so that the answer arrives."""
        self._on_bytes = self._linger_bytes
        self._buffer = b""
        self.hold_reading(False)
        self.write_end()
        self.deadline = self._loop.time() + _LINGER_S


def _body_of(head: RequestHead, *, decode: bool) -> Body:
    if head.chunked:
        return Chunked(decode=decode)
    return Length(head.length) if head.length else NoBody()
