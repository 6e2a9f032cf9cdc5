"""One client connection, as uvicorn runs it: decisions asked, one exchange at a time.

The current state is the method that takes the next bytes: head, body, tunnel, or one of the
socket's own. It knows no path, cookie or upstream; all of that is behind the `Door`.
"""

import asyncio
import logging
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.wire.door import Answer, Decision, Local, Relay, Wait
from gateway.wire.fields import BadHead
from gateway.wire.framing import BadFraming, BodyTooLarge, request_body
from gateway.wire.local import App, LocalExchange
from gateway.wire.relay import Exchange
from gateway.wire.request_head import RequestHead
from gateway.wire.tunnel import Tunnel
from gateway.wire.turns import Turns
from gateway.wire.wiring import Wiring

logger = logging.getLogger(__name__)

# What nginx writes of a client that leaves before any answer; no client ever reads it.
_CLIENT_GONE = 499


class ClientConnection(Turns):
    def __init__(
        self, wiring: Wiring, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        super().__init__(wiring, _loop or asyncio.get_running_loop())
        if not config.loaded:
            config.load()
        self._app = cast(App, config.loaded_app)
        self._app_state = app_state
        self._connections = server_state.connections
        self._held_under: tuple[str, ...] = ()
        self._waiting: asyncio.Task[None] | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connections.add(self)  # type: ignore[arg-type]  # uvicorn names its own classes
        self._counted = self._wiring.addresses.take(self._client.host)
        if not self._counted:
            self._refuse(
                BadHead(503, "Too many connections are open from this address: close some.")
            )
        if self._wiring.drain.begun:
            self.shutdown()

    def eof_received(self) -> bool:
        if self._talk is None:
            self._close()
        elif self._talk.client_ended():
            return True
        else:
            # Closing would first wait until the client has read what is written; it has left.
            self.transport.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connections.discard(self)
        self._wiring.live.leave(self._held_under, self)
        if self._counted:
            self._wiring.addresses.give(self._client.host)
        if self._waiting is not None:
            self._waiting.cancel("the client has gone")
        if self._talk is not None:
            self._talk.abandon()
        if self._outcome is not None:
            self._outcome.trouble = self._outcome.trouble or "client gone"
            self._outcome.status = self._outcome.status or _CLIENT_GONE
            self._record()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._talk is not None:
            self._talk.client_writable(False)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._talk is not None:
            self._talk.client_writable(True)
        elif self._resting:
            self._next()

    # uvicorn's, at shutdown

    def shutdown(self) -> None:
        """Let what is short finish and end what is endless; take what is on its way already.

        A request may have been sent before its client could know. It gets a moment to arrive, and
        its answer says that the connection closes: cutting it would fail somebody at each reload.
        """
        self.draining = self._wiring.drain.begun = True
        if self._talk is not None:
            self._talk.drain()
        elif self._resting:
            self._close()
        elif self._outcome is None and self.deadline is not None:
            self.deadline = min(self.deadline, self._loop.time() + self._wiring.last_request_s)
        self._loop.call_later(self._wiring.drain_s, self._cut)

    def _cut(self) -> None:
        """The shutdown waits no longer: end what goes on, with an answer if there was none."""
        if self._outcome is None:
            self._hurry()
            return
        self._outcome.trouble = "shutdown"
        if self._waiting is not None:
            self._waiting.cancel("the gateway is shutting down")
        if self._talk is not None:
            self._talk.abandon()
        if self._outcome.first_byte is None:
            late = "The gateway was stopped before this request was answered."
            self._answer(self._wiring.door.refuse(504, late))
        else:
            self.truncated(abort=True)

    # States

    def _body_bytes(self, data: bytes) -> None:
        assert self._talk is not None
        try:
            piece, rest = self._body.feed(data)
        except BadFraming as bad:
            self._break_off(bad)
            return
        done = self._body.done
        if done:
            self._on_bytes = self._keep_bytes
            if rest:
                self._keep_bytes(rest)
        self._talk.request_bytes(piece, done)

    # Decisions

    def _take(self, head: RequestHead) -> None:
        self._act(self._wiring.door.decide(head, self._client))

    def _act(self, decision: Decision) -> None:
        if isinstance(decision, Relay):
            self._relay(decision)
        elif isinstance(decision, Wait):
            if self._fits() and self._find_room(decision.held_under):
                self._waiting = self._wiring.tasks.start(self._wait(decision), "decide")
        elif isinstance(decision, Local):
            self._local(decision)
        else:
            self._answer(decision)

    def _relay(self, relay: Relay) -> None:
        assert self._head is not None
        assert self._outcome is not None
        if not self._find_room(relay.held_under):
            return
        if self._head.has_body:
            if not self._fits():
                return
            self._body = request_body(self._head, decode=False, most=self._wiring.body_bytes)
        exchange = Exchange(self, self._head, relay, self._outcome, self._wiring.tasks)
        self._talk = exchange
        exchange.begin()

    def _local(self, local: Local) -> None:
        assert self._head is not None
        assert self._outcome is not None
        self._body = request_body(self._head, decode=True)
        self._hold(local.held_under)
        exchange = LocalExchange(self, self._head, local, self._outcome, self._wiring.tasks)
        self._talk = exchange
        if self._head.has_body:
            # What our own application takes is small; a relayed body may come as slow as it likes.
            self.deadline = self._loop.time() + self._wiring.own_body_s
        exchange.begin(self._app, self._app_state, self._client)

    async def _wait(self, wait: Wait) -> None:
        try:
            decision = await wait.work()
        except Exception:  # the outermost wrapper: the client gets 500, the log why
            logger.exception("decision failed")
            decision = self._failure()
        self._waiting = None
        if not self._lost:
            self._act(decision)

    def _hold(self, keys: tuple[str, ...]) -> None:
        live, before = self._wiring.live, self._held_under
        self._held_under = keys
        live.enter(keys, self)
        live.leave([key for key in before if key not in keys], self)

    def _fits(self) -> bool:
        """Whether the body may be passed on, as far as its length is announced."""
        assert self._head is not None
        if (self._head.length or 0) <= self._wiring.body_bytes:
            return True
        self._turn_away(413, BodyTooLarge.sentence)
        return False

    def _turn_away(self, status: int, sentence: str) -> None:
        assert self._outcome is not None
        self._outcome.trouble = sentence
        self._answer(self._wiring.door.refuse(status, sentence))

    def _find_room(self, keys: tuple[str, ...]) -> bool:
        """Be held under these keys, unless too many are: then that is the answer.

        It stays so until a request has others, for most have the same as the one before.
        """
        if keys == self._held_under:
            return True
        if self._wiring.live.has_room(keys, self):
            self._hold(keys)
            return True
        full = "Too many connections use this session: close a tab or a stream."
        self._turn_away(503, full)
        return False

    # What a talk asks of us

    def send_body(self) -> None:
        self._on_bytes = self._body_bytes
        self.hold_reading(False)
        if early := self._take_early():
            self._body_bytes(early)

    def become(self, tunnel: Tunnel) -> None:
        self._talk = tunnel
        self._may_half_close = True
        self._on_bytes = tunnel.request_bytes
        self.hold_reading(False)
        if early := self._take_early():
            tunnel.request_bytes(early)

    def decide_again(self, decision: Decision) -> None:
        """The upstream gave no answer; nothing was sent to the client yet."""
        self._talk = None
        self.deadline = None
        self._on_bytes = self._keep_bytes
        if not self._lost:
            self._act(decision)

    def broke(self) -> None:
        self._talk = None
        self._answer(self._failure())

    def revoke(self) -> None:
        if self._talk is not None:
            self._talk.revoke()
        elif self._waiting is not None and self._outcome is not None:
            assert self._head is not None
            self._waiting.cancel("revoked")
            self._waiting = None
            self._outcome.trouble = "revoked"
            self._answer(self._wiring.door.revoked(self._head), last=True)

    def expire(self) -> None:
        if self._talk is not None:
            self._talk.expire()
        elif self._heads.held:
            self._refuse(BadHead(408, "The request's head did not arrive in time."))
        else:
            super().expire()

    # Endings

    def _failure(self) -> Answer:
        return self._wiring.door.refuse(500, "The gateway failed to answer this request.")

    def _break_off(self, bad: BadFraming) -> None:
        """A body that breaks its framing must never look complete to the upstream."""
        assert self._outcome is not None
        assert self._talk is not None
        self._outcome.trouble = str(bad)
        self._talk.abandon()
        if self._outcome.first_byte is None:
            self._answer(self._wiring.door.refuse(bad.status, str(bad)))
        else:
            self.truncated(abort=True)
