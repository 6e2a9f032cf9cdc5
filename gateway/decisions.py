"""From a question to what the wire is to do: its route, and what else when that can't be gone.

Deciding is synchronous and reads memory only; what must be awaited (a start, a second look at a
container, the shared service's health) is a `Wait` that ends in the same decision again. It knows
what a request asks for and who asks, not by which credential that was found out.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NamedTuple

from gateway import health, marks, opencode, own_events, refusals, streams
from gateway.credentials import Caller
from gateway.errors import GatewayError
from gateway.noticing import Noticing
from gateway.parts import Parts
from gateway.reading import Reading
from gateway.relays import Relays
from gateway.routing import (
    Ask,
    Await,
    Hold,
    Place,
    Refuse,
    Route,
    SayHealthy,
    ShowStart,
    State,
    ToPage,
    ToSession,
    ToShared,
    Upstream,
    fallback,
    gives_way,
    route,
)
from gateway.shared_readiness import SharedReadiness
from gateway.via import Via
from gateway.wire.door import Client, Decision, Failure, Local, Relay, Wait
from gateway.wire.request_head import RequestHead
from gateway.wire.tasks import Tasks

logger = logging.getLogger(__name__)

# The web UI gives a health probe 5 s and then takes the server for another protocol's; a cold
# start takes 3 s on an idle machine. 2 s leaves room for the probe's own way.
_HEALTH_HOLD_S = 2.0
# The orchestrator's deadline for a start is the same, and its answer says why: let it arrive.
_GRACE_S = 1.0
_NOWHERE = Place(State.NEW)


class Question(NamedTuple):
    """One request on its way to a decision; `upstream_failed` once a container did not answer,
    `ticket_awaited` once other workers had the time to tell of it."""

    head: RequestHead
    client: Client
    reading: Reading
    ask: Ask
    caller: Caller | None
    upstream_failed: bool = False
    ticket_awaited: bool = False


class Decisions:
    def __init__(self, parts: Parts, via: Via, tasks: Tasks) -> None:
        self._start_timeout_s = parts.settings.start_timeout_s
        self._roster = parts.roster
        self._directory = parts.directory
        self._conversations = parts.conversations
        shared = parts.settings.shared
        self._shared = SharedReadiness(shared, tasks) if shared else None
        self._noticing = Noticing(parts.changes, parts.conversations, tasks)
        self._relays = Relays(parts, self._noticing, via, self._session_failed)

    def decide(
        self, head: RequestHead, client: Client, reading: Reading, caller: Caller | None
    ) -> Decision:
        session_id = caller.session_id if caller else None
        if caller and session_id and not self._conversations.has_any(session_id):
            # Nearly every request: `route` would say no other, but take as long as all the rest.
            place = self._directory.place(session_id)
            if place.upstream is not None and not place.interrupted:
                return self._relays.to_session(head, client, reading.sender, caller, place.upstream)
        ask = self._ask(head, caller, reading)
        return self._decide(Question(head, client, reading, ask, caller))

    def _ask(self, head: RequestHead, caller: Caller | None, reading: Reading) -> Ask:
        navigation = reading.page_load and head.method == b"GET"
        session_id = caller.session_id if caller else None
        on_shared = False
        if session_id is not None and self._conversations.has_any(session_id):
            bound = opencode.bound_id(head.path)
            on_shared = bound is not None and self._conversations.is_shared(bound, session_id)
        return Ask(head.method, head.path, navigation, on_shared)

    def _decide(self, question: Question) -> Decision:
        caller = question.caller
        if caller is None:
            caller = self._by_ticket(question)
            if caller is None and self._may_be_told(question):
                return _wait(question, lambda: self._ticket_told(question))
            question = question._replace(caller=caller)
        session_id = caller.session_id if caller else None
        place = self._directory.place(session_id) if session_id else _NOWHERE
        if place.upstream is None and session_id is not None:
            self._try_again(session_id, place)
        chosen = route(
            question.ask,
            caller,
            place,
            shared=self._shared is not None,
            # Asked only of those whom it can lead anywhere.
            has_agent=caller is not None
            and session_id is None
            and self._roster.has_agent(caller.user_id),
        )
        return self._act(question, chosen)

    def _try_again(self, session_id: str, place: Place) -> None:
        """Whatever becomes of this request, the next ones may find the container back."""
        if place.did_not_start and self._directory.is_due(session_id):
            self._directory.start_soon(session_id)

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
            case Await():
                assert session_id is not None
                return _wait(question, lambda: self._await_another(question, session_id))
            case SayHealthy(version):
                return health.healthy(question.head, version)
            case ShowStart():
                assert session_id is not None
                return self._show_start(question, session_id)
            case ToPage(path):
                return refusals.redirect(path, question.head.target)
            case Refuse(code):
                if session_id is None:
                    return refusals.answer(code)
                wait_s = self._directory.wait_s(session_id)
                return refusals.about(code, self._directory.place(session_id), wait_s)

    def _by_ticket(self, question: Question) -> Caller | None:
        """Return whom a terminal's ticket stands for; only a server that lives has terminals."""
        session_id = self._noticing.session_of_ticket(question.ask.path, question.head.query)
        session = self._roster.session(session_id) if session_id else None
        if session is None:
            return None
        place = self._directory.place(session.id)
        lives = place.upstream is not None or place.state is State.FROZEN
        return Caller(session.user_id, None, session.id, "ticket") if lives else None

    def _may_be_told(self, question: Question) -> bool:
        may = self._noticing.may_be_told(question.ask.path, question.head.query)
        return may and not question.ticket_awaited

    async def _ticket_told(self, question: Question) -> Decision:
        await self._noticing.ticket_told(question.ask.path, question.head.query)
        return self._decide(question._replace(ticket_awaited=True))

    async def _hold(self, question: Question, session_id: str, *, briefly: bool) -> Decision:
        timeout_s = _HEALTH_HOLD_S if briefly else self._start_timeout_s + _GRACE_S
        try:
            async with asyncio.timeout(timeout_s):
                place = await self._directory.ensure(session_id)
        except TimeoutError:
            if briefly:
                return health.healthy(question.head, None)
            late = f"The session's container was not ready within {self._start_timeout_s:g} s."
            return self._fall_back(question, GatewayError("start_timeout", late))
        except GatewayError as error:
            if question.ask.navigation and not gives_way(error.code):
                # A frozen container's page load, which is refused where a person should read it.
                return self._act(question, ShowStart())
            return self._fall_back(question, error)
        assert place.upstream is not None
        return self._to_session(question, place.upstream)

    async def _await_another(self, question: Question, session_id: str) -> Decision:
        try:
            await self._directory.ready(session_id)
        except GatewayError as error:
            return refusals.of_error(error, marks.SESSION)
        return self._decide(question)

    def _show_start(self, question: Question, session_id: str) -> Decision:
        if self._directory.is_due(session_id):
            self._directory.start_soon(session_id)
        caller = question.caller
        state = {"caller": caller}
        return Local(state, streams.names(caller) if caller else (), path="/gateway/starting")

    def _fall_back(self, question: Question, error: GatewayError) -> Decision:
        """The container cannot be had: go elsewhere where that is allowed, or say why not."""
        if not gives_way(error.code):
            return refusals.of_error(error, marks.SESSION)
        chosen = fallback(question.ask, error.code, shared=self._shared is not None)
        if isinstance(chosen, Refuse):
            return refusals.because(chosen.code, error)
        if isinstance(chosen, ToShared):
            logger.warning("container not to be had code=%s reason=%r", error.code, error.message)
        return self._act(question, chosen)

    def _to_session(self, question: Question, upstream: Upstream) -> Relay:
        head, client, reading, ask, caller, again, _ = question
        assert caller is not None
        assert caller.session_id is not None
        if caller.via == "ticket":
            # No credential of ours is added: OpenCode itself must be the one to check the ticket.
            upstream = replace(upstream, authorization=b"")
        sender, place = reading.sender, self._directory.place(caller.session_id)
        relay = self._relays.to_session(head, client, sender, caller, upstream, again=again)
        if not place.interrupted or ask.path not in opencode.EVENTS:
            return relay
        greeting = own_events.interrupted(head, place.interrupted, place.workspace)
        return replace(relay, greeting=greeting)

    def _to_shared(self, question: Question, reason: str) -> Decision:
        assert self._shared is not None
        if not self._shared.answers:
            return _wait(question, lambda: self._look_first(question, reason))
        head, client, _, ask, caller, *_ = question
        return self._relays.to_shared(head, client, ask, caller, reason, doubt=self._shared.doubt)

    async def _look_first(self, question: Question, reason: str) -> Decision:
        assert self._shared is not None
        if await self._shared.look():
            return self._to_shared(question, reason)
        return refusals.shared_unavailable(marks.shared(reason))

    # When an upstream gives no answer

    def _session_failed(
        self, caller: Caller, again: bool, head: RequestHead, client: Client, failure: Failure
    ) -> Decision:
        """Only a request of which no byte went out may still be answered by anybody else."""
        session_id = caller.session_id
        assert session_id is not None
        reading: Reading = head.fields.annex
        ask = self._ask(head, caller, reading)
        question = Question(head, client, reading, ask, caller, upstream_failed=True)
        if failure.kind == "unreachable" and not again:
            return _wait(question, lambda: self._look_again(question))
        self._directory.verify_soon(session_id)
        if failure.kind == "unreachable":
            gone = "The session's container refuses connections."
            return self._fall_back(question, GatewayError("container_unavailable", gone))
        return refusals.no_answer(failure, marks.SESSION)

    async def _look_again(self, question: Question) -> Decision:
        """The container refused the connection: have it looked at, then decide anew."""
        caller = question.caller
        assert caller is not None
        assert caller.session_id is not None
        try:
            await self._directory.verify(caller.session_id)
        except GatewayError as error:
            return self._fall_back(question, error)
        return self._decide(question)


def _wait(question: Question, work: Callable[[], Awaitable[Decision]]) -> Wait:
    """Wait under the caller's names, so that what is revoked meanwhile is not relayed after all."""
    return Wait(work, streams.names(question.caller) if question.caller else ())
