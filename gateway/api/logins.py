"""Log in, log out, and who am I."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import fields, logins
from gateway.api import callers
from gateway.api.answers import answer, done
from gateway.api.bodies import read_nothing, read_object
from gateway.errors import GatewayError
from gateway.lives import shown
from gateway.parts import Parts, caller, parts
from gateway.roster import Login

_LONGEST_PASSWORD = 1024


async def log_in(request: Request) -> Response:
    body = await read_object(request)
    fields.only(body, ("username", "password"))
    username = fields.line("username", fields.need(body, "username"), 64)
    password = _password(fields.need(body, "password"))
    address = request.client.host if request.client else ""
    login = await logins.log_in(parts(request), username, password, address)
    return done({"Set-Cookie": _cookie(parts(request), login)})


async def follow_link(request: Request) -> Response:
    """Answer `GET /gateway/login?token=…`, a page's address; raises `invalid_link`."""
    login = await logins.follow_link(parts(request), request.query_params["token"])
    cookie = _cookie(parts(request), login)
    return RedirectResponse(
        "/gateway/", 303, headers={"Set-Cookie": cookie, "Cache-Control": "no-store"}
    )


async def log_out(request: Request) -> Response:
    """End the login, if there is one: a cookie that means nothing any more is cleared as well."""
    await read_nothing(request)
    found = caller(request)
    if found is not None:
        _, login_id = callers.logged_in(request)
        await logins.log_out(parts(request), login_id)
    return done({"Set-Cookie": parts(request).cookies.clear_header()})


async def me(request: Request) -> Response:
    found = callers.anyone(request)
    store = parts(request).store
    user = await store.user(found.user_id)
    if user is None:
        raise GatewayError("authentication_required", "This account is gone: log in again.")
    session = await store.session(found.session_id) if found.session_id else None
    mine = session is not None and session.user_id == user.id
    return answer(
        {
            "user": {"id": user.id, "username": user.username, "role": user.role},
            "session": await shown(parts(request), session) if session and mine else None,
        }
    )


def _password(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_PASSWORD or not _encodable(value):
        raise fields.refuse(
            "password", f"password must be text of at most {_LONGEST_PASSWORD} characters."
        )
    return value


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        return False
    return True


def _cookie(p: Parts, login: Login) -> str:
    """Name the login, and the user's session where there is only one to choose."""
    found = p.roster.sessions_of(login.user_id)
    return p.cookies.set_header(login.id, found[0].id if len(found) == 1 else None)
