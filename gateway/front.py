"""The door of the gateway: from a request head to a credential, a route, and what to do about it.

`decide` is synchronous and reads memory only; what must be awaited (a start, a look at a container
that does not answer) is a `Wait` that ends in the same decision again. It knows every other part's
name and none of their insides: bytes are the wire's, starting is the directory's.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from gateway import opencode, refusals, streams
from gateway.access_log import AccessLog
from gateway.credentials import (
    Caller,
    Presented,
    auth_token,
    identify,
)
from gateway.errors import GatewayError
from gateway.forwarding import Forwarding
from gateway.origin import is_foreign
from gateway.parts import Parts
from gateway.routing import (
    Ask,
    Hold,
    Place,
    Refuse,
    Route,
    ShowStart,
    State,
    ToPage,
    ToSession,
    ToShared,
    Upstream,
    fallback,
    route,
)
from gateway.tickets import Tickets
from gateway.wire.door import Answer, Client, Decision, Failure, Local, Outcome, Relay, Wait
from gateway.wire.head import RequestHead
from gateway.wire.tasks import Tasks

logger = logging.getLogger(__name__)

# The web UI gives a health probe 5 s and then takes the server for another protocol's; a cold
# start takes 3 s on an idle machine. 2 s leaves room for the probe's own way.
_HEALTH_HOLD_S = 2.0
_OWN_ROOTS = (b"/gateway", b"/api/sessions", b"/api/agents")
_MARK_SESSION = b"X-OpenCode-Gateway-Route: session\r\n"


@dataclass(frozen=True, slots=True)
class Question:
    """One request on its way to a decision; `upstream_failed` once a container did not answer."""

    head: RequestHead
    client: Client
    ask: Ask
    caller: Caller | None
    upstream_failed: bool = False


class Front:
    def __init__(self, parts: Parts, tasks: Tasks) -> None:
        scheme, _, authority = parts.settings.public_url.partition("://")
        self._authority = authority.lower().encode()
        self._start_timeout_s = parts.settings.start_timeout_s
        self._cookies = parts.cookies
        self._forwarding = Forwarding(parts.cookies, scheme.encode())
        self._roster = parts.roster
        self._directory = parts.directory
        self._conversations = parts.conversations
        self._metrics = parts.metrics
        self._shared = parts.shared
        self._tasks = tasks
        self._tickets = Tickets()
        self._log = AccessLog(parts.metrics)

    # The wire's questions

    def decide(self, head: RequestHead, client: Client) -> Decision:
        path = head.path
        caller = self._identify(head)
        if caller is not None and caller.via == "cookie" and is_foreign(head, self._authority):
            return refusals.answer("cross_site")
        if is_own(path):
            return Local({"caller": caller}, streams.names(caller) if caller else ())
        ask = self._ask(head, path, caller)
        return self._decide(Question(head, client, ask, caller))

    def refuse(self, status: int, sentence: str) -> Answer:
        return refusals.of_wire(status, sentence)

    def finished(self, outcome: Outcome) -> None:
        self._log.finished(outcome)

    # Reading the head

    def _identify(self, head: RequestHead) -> Caller | None:
        authorizations = head.noted(b"authorization")
        query = head.query
        presented = Presented(
            cookies=tuple(head.noted(b"cookie")),
            authorization=authorizations[0] if len(authorizations) == 1 else None,
            auth_token=auth_token(query) if b"auth_token=" in query else None,
        )
        return identify(presented, self._cookies, self._roster)

    def _ask(self, head: RequestHead, path: bytes, caller: Caller | None) -> Ask:
        navigation = head.method == b"GET" and _is_page_load(head)
        on_shared = False
        if caller is not None and caller.session_id is not None:
            bound = opencode.bound_id(path)
            on_shared = bound is not None and self._conversations.is_shared(
                bound, caller.session_id
            )
        return Ask(head.method, path, navigation, on_shared=on_shared)

    # Deciding

    def _decide(self, question: Question) -> Decision:
        caller = question.caller
        if caller is None:
            ticketed = self._by_ticket(question)
            if ticketed is not None:
                return ticketed
        session_id = caller.session_id if caller else None
        place = self._directory.place(session_id) if session_id else Place(State.NEW)
        chosen = route(
            question.ask,
            caller,
            place,
            shared=self._shared is not None,
            has_agent=caller is not None and self._roster.has_agent(caller.user_id),
        )
        return self._act(question, chosen)

    def _act(self, question: Question, chosen: Route) -> Decision:
        """Turn a route into what the wire understands."""
        session_id = question.caller.session_id if question.caller else None
        match chosen:
            case ToSession(upstream):
                return self._to_session(question, upstream)
            case ToShared(reason):
                return self._to_shared(question, reason)
            case Hold(briefly):
                assert session_id is not None
                return _wait(question, lambda: self._hold(question, session_id, briefly=briefly))
            case ShowStart():
                assert session_id is not None
                return self._show_start(question, session_id)
            case ToPage(path):
                return refusals.redirect(path, question.head.target)
            case Refuse(code):
                place = self._directory.place(session_id) if session_id else None
                return refusals.answer(code, place)

    def _by_ticket(self, question: Question) -> Decision | None:
        """Find the container of a terminal that is opened with nothing but a ticket."""
        terminal = opencode.terminal(question.ask.path)
        if terminal is None or terminal[1] != "connect" or b"ticket=" not in question.head.query:
            return None
        session_id = self._tickets.session_of(terminal[0], asyncio.get_running_loop().time())
        session = self._roster.session(session_id) if session_id else None
        place = self._directory.place(session.id) if session else None
        if session is None or place is None or place.upstream is None:
            return None
        # No credential of ours is added: OpenCode itself must be the one to check the ticket.
        bearer = Caller(session.user_id, None, session.id, "query")
        upstream = replace(place.upstream, authorization=b"")
        return self._to_session(replace(question, caller=bearer), upstream)

    async def _hold(self, question: Question, session_id: str, *, briefly: bool) -> Decision:
        timeout_s = _HEALTH_HOLD_S if briefly else self._start_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                place = await self._directory.ensure(session_id)
        except TimeoutError:
            if briefly:
                return refusals.starting_but_healthy()
            return self._fall_back(question, "start_timeout")
        except GatewayError as error:
            return self._fall_back(question, error.code)
        assert place.upstream is not None
        return self._to_session(question, place.upstream)

    def _show_start(self, question: Question, session_id: str) -> Decision:
        if self._directory.is_due(session_id):
            self._directory.start_soon(session_id)
        caller = question.caller
        state = {"caller": caller}
        return Local(state, streams.names(caller) if caller else (), path="/gateway/starting")

    def _fall_back(self, question: Question, reason: str) -> Decision:
        ask = question.ask
        return self._act(question, fallback(ask, reason, shared=self._shared is not None))

    # Relaying

    def _to_session(self, question: Question, upstream: Upstream) -> Relay:
        caller = question.caller
        assert caller is not None
        assert caller.session_id is not None
        self._note_ticket(question.ask, caller.session_id)
        return self._forwarding.relay(
            question.head,
            question.client,
            upstream,
            mark=_MARK_SESSION,
            held_under=streams.names(caller),
            otherwise=lambda failure: self._session_failed(question, failure),
        )

    def _to_shared(self, question: Question, reason: str) -> Decision:
        assert self._shared is not None
        ask, caller = question.ask, question.caller
        session_id = caller.session_id if caller else None
        if session_id is not None and reason not in ("public", "conversation"):
            self._count_fallback(session_id, reason)
        decision = self._forwarding.relay(
            question.head,
            question.client,
            self._shared,
            mark=f"X-OpenCode-Gateway-Route: shared; reason={reason}\r\n".encode(),
            held_under=streams.names(caller, fallback_events=ask.path in opencode.EVENTS)
            if caller
            else (),
            otherwise=_shared_failed,
        )
        if session_id is None or not opencode.creates_conversation(ask.method, ask.path):
            return decision
        # The answer names the new conversation; uncompressed, so that it can be read in passing.
        return replace(
            decision,
            without=decision.without | {b"accept-encoding"},
            witness=lambda status, body: self._note_conversation(session_id, status, body),
        )

    # When an upstream gives no answer

    def _session_failed(self, question: Question, failure: Failure) -> Decision:
        """Only a request of which no byte went out may still be answered by anybody else."""
        caller = question.caller
        assert caller is not None
        assert caller.session_id is not None
        session_id = caller.session_id
        if failure.kind == "unreachable" and not question.upstream_failed:
            again = replace(question, upstream_failed=True)
            return _wait(question, lambda: self._look_again(again))
        self._directory.verify_soon(session_id)
        if failure.kind == "unreachable":
            return self._fall_back(question, "unreachable")
        return refusals.no_answer(failure, _MARK_SESSION)

    async def _look_again(self, question: Question) -> Decision:
        """The container refused the connection: have it looked at, then decide anew."""
        caller = question.caller
        assert caller is not None
        assert caller.session_id is not None
        try:
            await self._directory.verify(caller.session_id)
        except GatewayError as error:
            return self._fall_back(question, error.code)
        return self._decide(question)

    # Noticing

    def _count_fallback(self, session_id: str, reason: str) -> None:
        self._metrics.fallback(reason)
        logger.warning("served by the shared service session=%s reason=%s", session_id, reason)
        failed = self._directory.place(session_id).state is State.FAILED
        if failed and self._directory.is_due(session_id):
            self._directory.start_soon(session_id)

    def _note_ticket(self, ask: Ask, session_id: str) -> None:
        if b"/pty/" in ask.path:
            terminal = opencode.terminal(ask.path)
            if terminal is not None and terminal[1] == "connect-token":
                self._tickets.note(terminal[0], session_id, asyncio.get_running_loop().time())

    def _note_conversation(self, session_id: str, status: int, body: bytes) -> None:
        if status != 200:
            return
        conversation_id = _created_id(body)
        if conversation_id is not None:
            self._conversations.note(conversation_id, session_id)
            keep = self._conversations.keep(conversation_id, session_id)
            self._tasks.start(keep, "keep conversation")


def is_own(path: bytes) -> bool:
    """Whether a path is the gateway's; whole segments, since OpenCode has `/api/session`."""
    return any(
        path.startswith(root) and (len(path) == len(root) or path[len(root)] == 0x2F)
        for root in _OWN_ROOTS
    )


def _wait(question: Question, work: Callable[[], Awaitable[Decision]]) -> Wait:
    """Wait under the caller's names, so that what is revoked meanwhile is not relayed after all."""
    return Wait(work, streams.names(question.caller) if question.caller else ())


def _is_page_load(head: RequestHead) -> bool:
    mode = head.noted(b"sec-fetch-mode")
    if mode:
        return mode == [b"navigate"]
    return any(b"text/html" in accept for accept in head.noted(b"accept"))


def _shared_failed(failure: Failure) -> Decision:
    return refusals.no_answer(failure, b"")


def _created_id(body: bytes) -> str | None:
    """Return the id of the conversation that an answer describes, on either API surface."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    if isinstance(answer, dict) and isinstance(answer.get("data"), dict):
        answer = answer["data"]
    found = answer.get("id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and found.startswith("ses_") else None
