"""The door of the gateway: who asks, by which credential, and whether for us or for OpenCode.

`decide` is synchronous and reads memory only; a credential that nobody here knows is looked up in
the store, and the request decided anew. Our own paths are our application's; where everything else
goes is `decisions`'.
"""

from dataclasses import replace
from functools import partial

from gateway import refusals, streams
from gateway.access_log import AccessLog
from gateway.credentials import Presented, auth_token, identify
from gateway.decisions import Decisions
from gateway.errors import GatewayError
from gateway.lookups import Lookups, Named
from gateway.origin import is_counted
from gateway.parts import Parts
from gateway.reading import Reading, Readings
from gateway.via import Via
from gateway.wire.door import Answer, Client, Decision, Local, Wait
from gateway.wire.request_head import RequestHead
from gateway.wire.tasks import Tasks

_OWN_ROOTS = (b"/gateway", b"/api/sessions", b"/api/agents")


class Front:
    def __init__(self, parts: Parts, tasks: Tasks) -> None:
        via = Via(parts.settings.cookie_keys)
        self._authority = parts.settings.public_url.partition("://")[2].lower().encode()
        self._cookies = parts.cookies
        self._roster = parts.roster
        self._readings = Readings(via)
        self._lookups = Lookups(parts, tasks)
        self._decisions = Decisions(parts, via, tasks)
        self.log = AccessLog(parts.metrics)
        self.finished = self.log.finished

    def decide(self, head: RequestHead, client: Client) -> Decision:
        reading: Reading | None = head.fields.annex
        if reading is None:
            reading = head.fields.annex = self._readings.read(head.fields)
        if reading.looped:
            return refusals.answer("loop_detected")
        caller = reading.sender.caller(self._roster)
        if caller is None:
            presented = _presented(head, reading)
            caller = identify(presented, self._cookies, self._roster)
            missing = self._lookups.missing(presented, caller)
            if missing is not None:
                return Wait(partial(self._look_up, missing, head, client))
            # A token in the query is no part of what the sender is remembered by.
            if caller is not None and caller.via != "query":
                reading.sender.recognise(caller, self._roster)
        if caller is not None and not is_counted(caller.via, head, self._authority):
            return refusals.answer("cross_site")
        if is_own(head.path):
            return Local({"caller": caller}, streams.names(caller) if caller else ())
        return self._decisions.decide(head, client, reading, caller)

    def refuse(self, status: int, sentence: str) -> Answer:
        return refusals.of_wire(status, sentence)

    def revoked(self, head: RequestHead) -> Answer:
        """Answer as the next request would be: who is known still has lost the session alone."""
        presented = _presented(head, head.fields.annex)
        known = identify(presented, self._cookies, self._roster) is not None
        return refusals.answer("session_removing" if known else "authentication_required")

    async def _look_up(self, missing: Named, head: RequestHead, client: Client) -> Decision:
        """Ask the store for what nobody here knows, then decide anew."""
        try:
            await self._lookups.find(missing)
        except GatewayError as error:
            return refusals.of_error(error)
        return self.decide(head, client)


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
