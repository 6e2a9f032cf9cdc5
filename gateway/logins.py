"""Coming in and going out: a password or a one-time link becomes a login, a login is ended.

Every way in makes a fresh login, so that nobody can plant one beforehand. It knows no HTTP; the
cookie that names the login is its caller's to set.
"""

import time
from datetime import UTC, datetime

from gateway.accounts import hash_token, new_id
from gateway.errors import GatewayError
from gateway.following import catch_up
from gateway.news import AttemptBegun, AttemptSucceeded, LoginEnded, LoginMade
from gateway.parts import Parts
from gateway.roster import Login, User

LIFETIME_S = 30 * 24 * 3600.0


async def log_in(parts: Parts, username: str, password: str, address: str) -> Login:
    """Make a login of a name and its password; unknown and wrong look and take the same."""
    name = username.lower()
    # First, or what is refused for nothing would push out the memory of real attempts.
    parts.accounts.refuse_when_busy()
    parts.accounts.attempts.begin(name, address)
    parts.changes.tell(AttemptBegun(name, address))
    account = await parts.store.account(name)
    kept = account.password_hash if account else None
    if not await parts.accounts.verify_aside(kept, password) or account is None:
        raise GatewayError("invalid_credentials", "The username or the password is wrong.")
    parts.changes.make(AttemptSucceeded(name, address))
    return await _come_in(parts, account.user)


async def follow_link(parts: Parts, token: str) -> Login:
    """Use up a one-time link and make a login of it."""
    user = await parts.store.redeem_link(hash_token(token), datetime.now(tz=UTC))
    if user is None:
        raise GatewayError(
            "invalid_link",
            "This link was used before or is too old: ask for a new one, or log in.",
        )
    return await _come_in(parts, user)


async def log_out(parts: Parts, login_id: str) -> None:
    """End a login everywhere, with everything that is open under it."""
    await parts.store.remove_login(login_id)
    parts.changes.make(LoginEnded(login_id))


async def _come_in(parts: Parts, user: User) -> Login:
    # The one moment when rows are written anyway is the one when old rows are swept.
    await parts.store.remove_expired(datetime.now(tz=UTC))
    login = Login(new_id(), user.id, time.time() + LIFETIME_S)
    await parts.store.add_login(login)
    # What commands or another gateway made for this user meanwhile.
    await catch_up(parts, user)
    parts.changes.make(LoginMade(user, login))
    return login
