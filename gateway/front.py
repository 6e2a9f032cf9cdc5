"""The door of the gateway: from a request head to a credential, a route, and what to do about it.

`decide` is synchronous and reads memory only; what must be awaited (a start, a look at a container
that does not answer) is a `Wait` that ends in the same decision again. It knows every other part's
name and none of their insides: bytes are the wire's, starting is the directory's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from gateway import marks, opencode, refusals, streams
from gateway.access_log import AccessLog
from gateway.credentials import Caller, Presented, auth_token, identify
from gateway.errors import GatewayError
from gateway.lookups import Lookups, Named
from gateway.noticing import Noticing
from gateway.origin import is_counted
from gateway.parts import Parts
from gateway.reading import Reading, Readings
from gateway.relays import Relays
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
    gives_way,
    route,
)
from gateway.shared_service import SharedService
from gateway.via import Via
from gateway.wire.door import Answer, Client, Decision, Failure, Local, Relay, Wait
from gateway.wire.head import RequestHead
from gateway.wire.tasks import Tasks

logger = logging.getLogger(__name__)

# The web UI gives a health probe 5 s and then takes the server for another protocol's; a cold
# start takes 3 s on an idle machine. 2 s leaves room for the probe's own way.
_HEALTH_HOLD_S = 2.0
# The orchestrator's deadline for a start is the same, and its answer says why: let it arrive.
_GRACE_S = 1.0
_NOWHERE = Place(State.NEW)
_OWN_ROOTS = (b"/gateway", b"/api/sessions", b"/api/agents")


class Question(NamedTuple):
    """One request on its way to a decision; `upstream_failed` once a container did not answer."""

    head: RequestHead
    client: Client
    reading: Reading
    ask: Ask
    caller: Caller | None
    upstream_failed: bool = False


class Front:
    def __init__(self, parts: Parts, tasks: Tasks) -> None:
        self._authority = parts.settings.public_url.partition("://")[2].lower().encode()
        self._start_timeout_s = parts.settings.start_timeout_s
        self._cookies = parts.cookies
        via = Via(parts.settings.cookie_keys)
        self._readings = Readings(via)
        self._roster = parts.roster
        self._directory = parts.directory
        self._conversations = parts.conversations
        shared = parts.settings.shared
        self._shared = SharedService(shared, tasks) if shared else None
        self._lookups = Lookups(parts, tasks)
        self._noticing = Noticing(parts.changes, parts.conversations, tasks)
        self._relays = Relays(parts, self._noticing, via, self._session_failed)
        self.log = AccessLog(parts.metrics)
        self.finished = self.log.finished

    # The wire's questions

    def decide(self, head: RequestHead, client: Client) -> Decision:
        reading: Reading | None = head.fields.annex
        if reading is None:
            reading = head.fields.annex = self._readings.read(head.fields)
        if reading.looped:
            return refusals.answer("loop_detected")
        path = head.path
        caller = reading.sender.caller(self._roster) or self._identify(head, reading)
        if caller is None or caller.session_id is None:
            missing = self._lookups.missing(_presented(head, reading), caller)
            if missing is not None:
                return Wait(partial(self._look_up, missing, head, client))
        if caller is not None and not is_counted(caller.via, head, self._authority):
            return refusals.answer("cross_site")
        if is_own(path):
            return Local({"caller": caller}, streams.names(caller) if caller else ())
        session_id = caller.session_id if caller else None
        if session_id is not None and not self._conversations.has_any(session_id):
            # Nearly every request: `route` would say no other, but take as long as all the rest.
            upstream = self._directory.place(session_id).upstream
            if upstream is not None:
                assert caller is not None
                return self._relays.to_session(head, client, reading.sender, caller, upstream)
        ask = self._ask(head, path, caller, reading)
        return self._decide(Question(head, client, reading, ask, caller))

    def refuse(self, status: int, sentence: str) -> Answer:
        return refusals.of_wire(status, sentence)

    # Reading the head

    def _identify(self, head: RequestHead, reading: Reading) -> Caller | None:
        caller = identify(reading.sender.presented, self._cookies, self._roster)
        if caller is not None:
            reading.sender.recognise(caller, self._roster)
        elif b"auth_token=" in head.target:
            caller = identify(_presented(head, reading), self._cookies, self._roster)
        return caller

    async def _look_up(self, missing: Named, head: RequestHead, client: Client) -> Decision:
        """Ask the store for what nobody here knows, then decide anew."""
        try:
            await self._lookups.find(missing)
        except GatewayError as error:
            return refusals.of_error(error)
        return self.decide(head, client)

    def _ask(self, head: RequestHead, path: bytes, caller: Caller | None, reading: Reading) -> Ask:
        navigation = reading.page_load and head.method == b"GET"
        session_id = caller.session_id if caller else None
        on_shared = False
        if session_id is not None and self._conversations.has_any(session_id):
            bound = opencode.bound_id(path)
            on_shared = bound is not None and self._conversations.is_shared(bound, session_id)
        return Ask(head.method, path, navigation, on_shared)

    # Deciding

    def _decide(self, question: Question) -> Decision:
        caller = question.caller
        if caller is None:
            ticketed = self._by_ticket(question)
            if ticketed is not None:
                return ticketed
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

    def _by_ticket(self, question: Question) -> Decision | None:
        """Find the container of a terminal that is opened with nothing but a ticket."""
        session_id = self._noticing.session_of_ticket(question.ask.path, question.head.query)
        session = self._roster.session(session_id) if session_id else None
        place = self._directory.place(session.id) if session else None
        if session is None or place is None or place.upstream is None:
            return None
        # No credential of ours is added: OpenCode itself must be the one to check the ticket.
        bearer = Caller(session.user_id, None, session.id, "query")
        upstream = replace(place.upstream, authorization=b"")
        return self._to_session(question._replace(caller=bearer), upstream)

    async def _hold(self, question: Question, session_id: str, *, briefly: bool) -> Decision:
        timeout_s = _HEALTH_HOLD_S if briefly else self._start_timeout_s + _GRACE_S
        try:
            async with asyncio.timeout(timeout_s):
                place = await self._directory.ensure(session_id)
        except TimeoutError:
            if briefly:
                return refusals.starting_but_healthy()
            late = f"The session's container was not ready within {self._start_timeout_s:g} s."
            return self._fall_back(question, GatewayError("start_timeout", late))
        except GatewayError as error:
            return self._fall_back(question, error)
        assert place.upstream is not None
        return self._to_session(question, place.upstream)

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
        head, client, reading, _, caller, again = question
        assert caller is not None
        return self._relays.to_session(head, client, reading.sender, caller, upstream, again=again)

    def _to_shared(self, question: Question, reason: str) -> Decision:
        assert self._shared is not None
        if not self._shared.answers:
            return _wait(question, lambda: self._look_first(question, reason))
        head, client, _, ask, caller, _ = question
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
        ask = self._ask(head, head.path, caller, reading)
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


def is_own(path: bytes) -> bool:
    """Whether a path is the gateway's; whole segments, since OpenCode has `/api/session`."""
    return path.startswith(_OWN_ROOTS) and any(
        path.startswith(root) and (len(path) == len(root) or path[len(root)] == 0x2F)
        for root in _OWN_ROOTS
    )


def _presented(head: RequestHead, reading: Reading) -> Presented:
    if b"auth_token=" not in head.target:
        return reading.sender.presented
    return replace(reading.sender.presented, auth_token=auth_token(head.query))


def _wait(question: Question, work: Callable[[], Awaitable[Decision]]) -> Wait:
    """Wait under the caller's names, so that what is revoked meanwhile is not relayed after all."""
    return Wait(work, streams.names(question.caller) if question.caller else ())
