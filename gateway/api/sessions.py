"""A user's sessions: list, create, read, make current, start, keep awake, stop, delete."""

from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import Response

from gateway import fields, sessions
from gateway.absent import session_key
from gateway.api import callers
from gateway.api.answers import answer, done
from gateway.api.bodies import read_nothing, read_object
from gateway.errors import GatewayError
from gateway.lives import shown, shown_all, shown_as
from gateway.news import SessionLeaving, SessionMade, SessionRemoved
from gateway.parts import Parts, parts
from gateway.roster import Session

# A stop that is refused is refused at once; one that is carried out waits for a turn to end.
_REFUSED_WITHIN_S = 1.0
_SHORTEST_AWAKE_S, _LONGEST_AWAKE_S = 60, 86_400


async def list_all(request: Request) -> Response:
    caller, _ = callers.logged_in(request)
    found = await parts(request).store.sessions_of(caller.user_id)
    return answer({"sessions": await shown_all(parts(request), found)})


async def create(request: Request) -> Response:
    caller, login_id = callers.logged_in(request)
    wish = await read_object(request)
    fields.only(wish, ("agent_id", "title"))
    agent_id = wish.get("agent_id")
    if agent_id is not None:
        agent_id = fields.line("agent_id", agent_id, 64)
    title = "" if wish.get("title") is None else wish["title"]
    p = parts(request)
    session, token = await sessions.create_session(p.store, caller.user_id, agent_id, title)
    p.changes.make(SessionMade(session))
    return answer(
        {**await shown(p, session), "access_token": token},
        201,
        {"Set-Cookie": p.cookies.set_header(login_id, session.id)},
    )


async def get(request: Request) -> Response:
    session = await callers.session_for_its_token(request)
    return answer(await shown(parts(request), session))


async def activate(request: Request) -> Response:
    session, login_id = await callers.session_for_login(request)
    await read_nothing(request)
    p = parts(request)
    # Made by a command since the login, it would be unknown where the cookie is read.
    if session_key(session.id) not in p.changes.absent:
        p.changes.make(SessionMade(session))
    return done({"Set-Cookie": p.cookies.set_header(login_id, session.id)})


async def start(request: Request) -> Response:
    session = await callers.session_for_its_token(request)
    await read_nothing(request)
    # A person who asks does not wait for the time that automatic starts keep.
    parts(request).directory.start_soon(session.id, force=True)
    return answer(await shown(parts(request), session), 202)


async def stop(request: Request) -> Response:
    """Begin a stop; one that waits for a turn goes on when its asker has long been answered."""
    session = await callers.session_for_its_token(request)
    await read_nothing(request)
    with anyio.move_on_after(_REFUSED_WITHIN_S):
        try:
            await parts(request).directory.stop(session.id)
        except GatewayError as error:
            if error.code != "session_not_found":  # it never had a container: it is stopped already
                raise
    return answer(await shown(parts(request), session), 202)


async def keep_awake(request: Request) -> Response:
    session = await callers.session_for_its_token(request)
    for_s = _awake_for(await read_object(request))
    try:
        view = await parts(request).directory.client.keep(session.id, for_s)
    except GatewayError as error:
        if error.code != "session_not_found":
            raise
        raise GatewayError(
            "container_stopped", "Nothing runs that could be kept awake: start the session first."
        ) from error
    return answer(shown_as(parts(request), session, view))


async def delete(request: Request) -> Response:
    session, _ = await callers.session_for_login(request)
    await read_nothing(request)
    await _remove(parts(request), session)
    return done()


async def _remove(p: Parts, session: Session) -> None:
    """Remove container and volume, then the row; if that fails, the session is as it was.

    It leaves the roster first: the container's own clients reconnect as soon as it dies, and
    their requests would start the session again between its two ends.
    """
    p.changes.make(SessionLeaving(session.id))
    try:
        await p.directory.remove(session.id)
        await p.store.remove_session(session.id)
    except BaseException:
        p.changes.make(SessionMade(session))
        raise
    p.changes.make(SessionRemoved(session.id))


def _awake_for(wish: dict[str, Any]) -> float:
    fields.only(wish, ("for_s",))
    for_s = fields.number("for_s", fields.need(wish, "for_s"), 0, _LONGEST_AWAKE_S)
    if 0 < for_s < _SHORTEST_AWAKE_S:
        raise fields.refuse(
            "for_s",
            f"for_s must be from {_SHORTEST_AWAKE_S} to {_LONGEST_AWAKE_S:,}, or 0 to end it.",
        )
    return for_s
