"""Who may ask for what: a login for all that is its user's, an access token for its one session.

The front has already said who is asking. What a session is and whose, it leaves to the store.
"""

from starlette.requests import Request

from gateway.credentials import Caller
from gateway.errors import GatewayError
from gateway.parts import caller, parts
from gateway.roster import Session
from gateway.sessions import owned_session


def anyone(request: Request) -> Caller:
    """Return whoever is asking; raises when nobody is."""
    found = caller(request)
    if found is None:
        raise GatewayError("authentication_required", "Log in first, at /gateway/login.")
    return found


def logged_in(request: Request) -> tuple[Caller, str]:
    """Return the caller and their login; an access token is not one."""
    found = anyone(request)
    if found.login_id is None:
        raise _login_required()
    return found, found.login_id


async def session_for_its_token(request: Request) -> Session:
    """Return the session that the path names to a login of its user or to its own token."""
    found = anyone(request)
    # Whose it is comes first: a refusal would tell that another's session exists.
    session_id = request.path_params["session_id"]
    session = await owned_session(parts(request).store, found.user_id, session_id)
    if found.login_id is None and found.session_id != session.id:
        raise _login_required()
    return session


async def session_for_login(request: Request) -> tuple[Session, str]:
    """Return the session that the path names, and the login of the user whose it is."""
    found, login_id = logged_in(request)
    store = parts(request).store
    return await owned_session(store, found.user_id, request.path_params["session_id"]), login_id


def _login_required() -> GatewayError:
    return GatewayError(
        "login_required",
        "An access token opens its own session only: log in at /gateway/login for this.",
    )
