"""What a block of request fields says of its sender, and what was last made of it.

The wire keeps a reading with the block, so that a client which says the same of itself with every
request is read once; a block that is new in parts only (a length, an id) finds its sender by the
credentials. Nothing here is believed longer than it is true: a caller is asked for again as soon as
the roster no longer holds the very login and session. It decides nothing.
"""

import time
from dataclasses import dataclass

from gateway.credentials import Caller, Presented
from gateway.roster import Login, Roster, Session
from gateway.routing import Upstream
from gateway.via import Via
from gateway.wire.door import Relay
from gateway.wire.fields import Fields
from gateway.wire.remembered import Remembered
from gateway.wire.request_head import RequestFields

_MOST_SENDERS = 4096
_LONGEST_CREDENTIALS = 4096


@dataclass(slots=True)
class Made:
    """A relay, and for whom and what it was made."""

    relay: Relay
    caller: Caller
    upstream: Upstream
    client_host: str


class Sender:
    """Whoever presents these credentials to this host, and the relay that was made for them."""

    __slots__ = ("_caller", "_login", "_session", "made", "presented")

    def __init__(self, cookies: list[bytes], authorizations: list[bytes]) -> None:
        self.presented = Presented(
            cookies=tuple(cookies),
            authorization=authorizations[0] if len(authorizations) == 1 else None,
        )
        self.made: Made | None = None
        self._caller: Caller | None = None
        self._login: Login | None = None
        self._session: Session | None = None

    def caller(self, roster: Roster) -> Caller | None:
        """Return who was recognised before, if all that it rests on still holds."""
        session, login = self._session, self._login
        if session is None or not roster.holds(session, login):
            return None
        expired = login is not None and login.expires_at <= time.time()
        return None if expired else self._caller

    def recognise(self, caller: Caller, roster: Roster) -> None:
        """Remember a caller who names a session; another may name one that comes to be known."""
        if caller.session_id is None:
            return
        self._caller = caller
        self._session = roster.session(caller.session_id)
        self._login = roster.login(caller.login_id) if caller.login_id else None

    def relay(self, caller: Caller, upstream: Upstream, client_host: str) -> Relay | None:
        """Return the relay that was made for just this caller, upstream and client."""
        made = self.made
        if (
            made is not None
            and made.caller is caller
            and made.upstream is upstream
            and made.client_host == client_host
        ):
            return made.relay
        return None


@dataclass(slots=True)
class Reading:
    """`looped` says that the request has come through this gateway before."""

    sender: Sender
    page_load: bool
    looped: bool


class Readings:
    """Reads blocks of fields, and remembers their senders."""

    def __init__(self, via: Via) -> None:
        self._via = via
        self._senders: Remembered[tuple[object, ...], Sender] = Remembered(_MOST_SENDERS)

    def read(self, fields: RequestFields) -> Reading:
        cookies, authorizations = fields.noted(b"cookie"), fields.noted(b"authorization")
        key = (*cookies, None, *authorizations, fields.host, fields.minor)
        sender = self._senders.get(key)
        if sender is None:
            sender = Sender(cookies, authorizations)
            if sum(map(len, cookies)) + sum(map(len, authorizations)) <= _LONGEST_CREDENTIALS:
                self._senders.keep(key, sender)
        return Reading(sender, _is_page_load(fields), self._via.has_passed(fields))


def _is_page_load(fields: Fields) -> bool:
    mode = fields.noted(b"sec-fetch-mode")
    if mode:
        return mode == [b"navigate"]
    return any(b"text/html" in accept for accept in fields.noted(b"accept"))
