"""Looking up in the store what a request names and nobody here knows, before it is turned away.

Another gateway may have made it, or news of it was lost. Strangers name what they like, so they
must not cost a query each: one query answers all who wait, the next comes a moment later, and what
was not found is not looked for again for a while. It knows no route and no answer.
"""

import asyncio
from collections.abc import Iterable
from hashlib import sha256
from typing import Literal, NamedTuple

from gateway.absent import Absent, login_key, session_key
from gateway.accounts import may_be_token
from gateway.credentials import Caller, Presented, tokens
from gateway.errors import GatewayError
from gateway.following import catch_up
from gateway.news import LoginMade
from gateway.parts import Parts
from gateway.wire.tasks import Tasks

_MOST_AT_ONCE = 100
_MOST_WAITING = 1000
_REST_S = 0.05  # between two queries: twenty in a second at most, whoever asks


class Named(NamedTuple):
    """A login or a session by its id, or an access token by its hash."""

    kind: Literal["login", "session", "token"]
    value: str


class Lookups:
    def __init__(self, parts: Parts, tasks: Tasks) -> None:
        self._parts = parts
        self._roster = parts.roster
        self._absent = parts.changes.absent
        # Apart, because strangers can fill it; what they can't make is signed.
        self._absent_tokens = Absent()
        self._tasks = tasks
        self._waiting: dict[Named, asyncio.Future[None]] = {}
        self._looking = False

    def missing(self, presented: Presented, caller: Caller | None) -> Named | None:
        """Return what is named here and unknown, and may be in the store nevertheless.

        `caller` is who asks as far as is known. A cookie is believed to name what it names, since
        we signed it; what else is presented must at least look like an access token.
        """
        named = self._by_cookie(presented)
        if named is None and caller is None:
            named = self._by_token(presented)
        return named

    async def find(self, named: Named) -> None:
        """Have it looked for, and known here if it is there; raises GatewayError if nobody can
        tell. Afterwards `missing` does not name it any more."""
        answer = self._waiting.get(named)
        if answer is None:
            if len(self._waiting) >= _MOST_WAITING:
                raise GatewayError(
                    "storage_unavailable",
                    "Too many ask for what is not known here: try again in a moment.",
                    retry_after_s=1,
                )
            answer = self._waiting[named] = asyncio.get_running_loop().create_future()
            # Whoever asked may have left by the time it fails.
            answer.add_done_callback(lambda f: None if f.cancelled() else f.exception())
            if not self._looking:
                self._looking = True
                self._tasks.start(self._look_until_all_are_answered(), "look-ups")
        await asyncio.shield(answer)

    def _by_cookie(self, presented: Presented) -> Named | None:
        read = self._parts.cookies.read(presented.cookies) if presented.cookies else None
        if read is None:
            return None
        login_id, session_id = read
        login = Named("login", login_id)
        if not self._is_known(login):
            return self._unless_absent(login)
        session = Named("session", session_id) if session_id else None
        return None if session is None or self._is_known(session) else self._unless_absent(session)

    def _by_token(self, presented: Presented) -> Named | None:
        for token in filter(may_be_token, tokens(presented)):
            named = Named("token", sha256(token).hexdigest())
            if not self._is_known(named) and self._unless_absent(named):
                return named
        return None

    def _unless_absent(self, named: Named) -> Named | None:
        memory, key = self._memory(named)
        return None if key in memory else named

    def _memory(self, named: Named) -> tuple[Absent, str]:
        """Where, and under which key, it is noted as absent."""
        match named.kind:
            case "login":
                return self._absent, login_key(named.value)
            case "session":
                return self._absent, session_key(named.value)
            case "token":
                return self._absent_tokens, named.value

    def _is_known(self, named: Named) -> bool:
        match named.kind:
            case "login":
                return self._roster.login(named.value) is not None
            case "session":
                return self._roster.session(named.value) is not None
            case "token":
                return self._roster.session_of_token(named.value) is not None

    async def _look_until_all_are_answered(self) -> None:
        try:
            while self._waiting:
                await self._answer(list(self._waiting)[:_MOST_AT_ONCE])
                await asyncio.sleep(_REST_S)
        finally:
            self._looking = False

    async def _answer(self, batch: list[Named]) -> None:
        """Answer some of those who wait, by one look at the store."""
        failure = GatewayError("internal_error", "The look-up failed inside the gateway.")
        try:
            await self._look(batch)
        except GatewayError as error:
            self._settle(batch, error)
        except BaseException:
            self._settle(batch, failure)
            raise
        else:
            for named in batch:
                if not self._is_known(named):
                    memory, key = self._memory(named)
                    memory.note(key)
            self._settle(batch, None)

    def _settle(self, batch: Iterable[Named], error: GatewayError | None) -> None:
        for named in batch:
            answer = self._waiting.pop(named)
            if error is None:
                answer.set_result(None)
            else:
                answer.set_exception(error)

    async def _look(self, batch: list[Named]) -> None:
        store = self._parts.store
        ids = {kind: [n.value for n in batch if n.kind == kind] for kind, _ in batch}
        logins = await store.logins_among(ids.get("login", ()))
        named = await store.sessions_among(ids.get("session", ()), ids.get("token", ()))
        for user_id in {login.user_id for login in logins} | {s.user_id for s in named}:
            user = await store.user(user_id)
            if user is not None:
                await catch_up(self._parts, user)
        for login in logins:
            owner = self._roster.user(login.user_id)
            # It may have ended while its user was looked up.
            if owner is not None and login_key(login.id) not in self._absent:
                self._parts.changes.take(LoginMade(owner, login))
