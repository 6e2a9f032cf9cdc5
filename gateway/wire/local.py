"""The gateway's own application behind the same connection: one ASGI exchange.

It gives ASGI only what it needs: a decoded body, a scope, back-pressure, and an `OSError` from
`send` once the client has gone. It knows no route of the application.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any, Protocol

from gateway.wire.date import date_line
from gateway.wire.delivery import connection_line, reason
from gateway.wire.door import Client, Local, Outcome
from gateway.wire.request_head import RequestHead
from gateway.wire.scope import scope_of
from gateway.wire.tasks import Tasks

logger = logging.getLogger(__name__)

Message = MutableMapping[str, Any]
App = Callable[
    [
        MutableMapping[str, Any],
        Callable[[], Awaitable[Message]],
        Callable[[Message], Awaitable[None]],
    ],
    Awaitable[None],
]


class LocalClient(Protocol):
    deadline: float | None
    draining: bool

    def write(self, data: bytes) -> None: ...

    def hold_reading(self, held: bool) -> None: ...

    def send_body(self) -> None: ...

    def finished(self, keep_alive: bool) -> None: ...

    def truncated(self, abort: bool) -> None: ...

    def broke(self) -> None:
        """The application failed before it answered."""
        ...


class LocalExchange:
    """`shared_state` is what the application's lifespan left for every request."""

    def __init__(
        self, client: LocalClient, head: RequestHead, local: Local, outcome: Outcome, tasks: Tasks
    ) -> None:
        self._client = client
        self._head = head
        self._local = local
        self._outcome = outcome
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None
        self._received: list[bytes] = []
        self._arrived = asyncio.Event()
        self._request_done = not head.has_body
        self._body_delivered = False
        self._expects_continue = (
            head.has_body and head.minor == 1 and b"100-continue" in head.tokens(b"expect")
        )
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = False
        self._start: Message | None = None
        self._head_sent = False
        self._bodyless = False
        self._chunked = False
        self._endless = False
        self._until_close = False
        self._keeps_client = False
        self._complete = False

    def begin(self, app: App, shared_state: dict[str, Any], peer: Client) -> None:
        scope = scope_of(self._head, self._local, shared_state, peer)
        self._outcome.upstream = "gateway"
        self._task = self._tasks.start(self._run(app, scope), "own request")
        if not self._request_done:
            self._client.send_body()

    def request_bytes(self, piece: bytes, done: bool) -> None:
        self._outcome.bytes_in += len(piece)
        self._received.append(piece)
        self._request_done = done
        if done:
            self._client.deadline = None
        else:
            self._client.hold_reading(True)
        self._arrived.set()

    def client_writable(self, writable: bool) -> None:
        if writable:
            self._writable.set()
        else:
            self._writable.clear()

    def client_ended(self) -> bool:
        return False

    def abandon(self) -> None:
        self._gone = True
        self._arrived.set()
        self._writable.set()

    def revoke(self) -> None:
        """End a stream of ours; an answer not yet begun may be the very one that revokes."""
        if self._head_sent and not self._complete:
            self._outcome.trouble = "revoked"
            self._cut()

    def drain(self) -> None:
        """Shutting down: event streams of ours end; a short answer may finish."""
        if self._endless and not self._complete:
            self._cut()

    def _cut(self) -> None:
        self.abandon()
        self._client.truncated(abort=False)

    def expire(self) -> None:
        """The request's body did not arrive in time; ours are small."""
        self._outcome.trouble = "body too slow"
        self.abandon()
        self._client.truncated(abort=True)

    async def _run(self, app: App, scope: MutableMapping[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:  # the outermost wrapper: the client gets 500, the log why
            if not self._gone:
                logger.exception("own request failed: %s", self._head.loggable())
        if not self._gone and not self._complete:
            if self._head_sent:
                self._client.truncated(abort=False)
            else:
                self._client.broke()

    async def _receive(self) -> Message:
        self._continue()
        while not self._received and not self._request_done and not self._gone:
            self._arrived.clear()
            self._client.hold_reading(False)
            await self._arrived.wait()
        if self._gone or (self._body_delivered and not self._received):
            await self._wait_until_gone()
            return {"type": "http.disconnect"}
        body, self._received = b"".join(self._received), []
        self._body_delivered = self._request_done
        return {"type": "http.request", "body": body, "more_body": not self._request_done}

    async def _wait_until_gone(self) -> None:
        while not self._gone and not self._complete:
            self._arrived.clear()
            await self._arrived.wait()

    def _continue(self) -> None:
        """Ask for the body when the application first wants it (RFC 9110 §10.1.1)."""
        wanted = self._expects_continue and not self._received and not self._head_sent
        self._expects_continue = False
        if wanted and not self._gone:
            self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def _send(self, message: Message) -> None:
        await self._writable.wait()
        if self._gone:
            raise OSError("the client has gone")
        if message["type"] == "http.response.start":
            self._start = message
            return
        body = bytes(message.get("body", b""))
        more = bool(message.get("more_body", False))
        first = b"" if self._head_sent else self._response_head(len(body), more)
        self._head_sent = True
        piece = self._framed(body, more)
        self._outcome.bytes_out += len(piece)
        if first or piece:
            self._client.write(first + piece)
        if not more:
            self._complete = True
            self._arrived.set()
            self._client.finished(self._keeps_client)
        elif self._client.draining:
            self.drain()

    def _framed(self, body: bytes, more: bool) -> bytes:
        if self._bodyless:
            return b""
        if not self._chunked:
            return body
        return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (
            b"" if more else b"0\r\n\r\n"
        )

    def _response_head(self, length: int, more: bool) -> bytes:
        assert self._start is not None, "the application sent a body before its head"
        status: int = self._start["status"]
        fields: list[tuple[bytes, bytes]] = list(self._start.get("headers", []))
        lines = b"".join(b"%b: %b\r\n" % field for field in fields)
        names = {name.lower() for name, _ in fields}
        self._endless = any(
            name.lower() == b"content-type" and value.startswith(b"text/event-stream")
            for name, value in fields
        )
        self._bodyless = self._head.method == b"HEAD" or status in (204, 304)
        if b"date" not in names:
            lines += date_line()
        if b"content-length" not in names:
            lines += self._framing(length, more)
        # As the head says it: a shutdown that begins before the end of the body changes nothing.
        self._keeps_client = (
            self._head.keep_alive and not self._client.draining and not self._until_close
        )
        lines += connection_line(self._head, keeps=self._keeps_client)
        self._outcome.status = status
        self._outcome.first_byte = monotonic()
        return b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, reason(status), lines)

    def _framing(self, length: int, more: bool) -> bytes:
        """Choose how a body of unannounced length ends; HTTP/1.0 knows no chunks."""
        if self._bodyless:
            return b""
        if not more:
            return b"Content-Length: %d\r\n" % length
        self._chunked = self._head.minor == 1
        self._until_close = not self._chunked
        return b"Transfer-Encoding: chunked\r\n" if self._chunked else b""
