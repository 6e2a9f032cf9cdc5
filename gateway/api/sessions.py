"""A user's sessions: list, create, read, make current, start, stop, delete."""

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
from gateway.news import SessionLeaving, SessionMade, SessionRemoved
from gateway.parts import Parts, parts
from gateway.roster import Session


async def list_all(request: Request) -> Response:
    caller, _ = callers.logged_in(request)
    found = await parts(request).store.sessions_of(caller.user_id)
    return answer({"sessions": [shown(request, session) for session in found]})


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
        {**shown(request, session), "access_token": token},
        201,
        {"Set-Cookie": p.cookies.set_header(login_id, session.id)},
    )


async def get(request: Request) -> Response:
    return answer(shown(request, await callers.session_for_its_token(request)))


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
    return answer(shown(request, session), 202)


async def stop(request: Request) -> Response:
    session = await callers.session_for_its_token(request)
    await read_nothing(request)
    try:
        await parts(request).directory.stop(session.id)
    except GatewayError as error:
        if error.code != "session_not_found":  # it never had a container: it is stopped already
            raise
    return answer(shown(request, session), 202)


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


def shown(request: Request, session: Session) -> dict[str, Any]:
    p = parts(request)
    place = p.directory.place(session.id)
    return sessions.to_json(session, place, p.settings.public_url, anyio.current_time())
