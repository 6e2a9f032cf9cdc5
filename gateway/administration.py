"""What an operator does from the command line, by the same rules as the API.

Each function gets an open store and what it needs; it knows no arguments and prints nothing. A
running gateway learns of what is made here when its user next logs in, and of logins that are ended
here at its next look.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from gateway import agents, sessions
from gateway.accounts import (
    Accounts,
    checked_username,
    hash_password,
    hash_token,
    new_id,
    new_token,
)
from gateway.errors import GatewayError
from gateway.roster import Session, User
from gateway.store import Account, Agent, Store

LINK_LIFETIME = timedelta(hours=24)
FIRST_ADMINISTRATOR = "administrator"

Role = Literal["administrator", "user"]


async def create_user(
    store: Store, username: str, password: str | None = None, role: Role = "user"
) -> User:
    """Make a user; without a password only a one-time link lets them in."""
    user = User(new_id(), checked_username(username), role)
    kept = None if password is None else hash_password(password)
    await store.add_account(Account(user, kept, datetime.now(tz=UTC)))
    return user


async def set_password(store: Store, username: str, password: str) -> None:
    """Replace the password; whoever is logged in by the old one must come in again."""
    user = await find_user(store, username)
    await store.set_password_hash(user.id, hash_password(password))


async def list_users(store: Store) -> list[User]:
    return await store.users()


async def find_user(store: Store, username: str) -> User:
    account = await store.account(checked_username(username))
    if account is None:
        raise GatewayError(
            "user_not_found",
            f"There is no user {username!r}: `opencode-gateway user list` lists them.",
        )
    return account.user


async def one_time_link(store: Store, user: User) -> str:
    """Return the token of a link that lets this user in once, within LINK_LIFETIME."""
    token = new_token()
    await store.add_link(hash_token(token), user.id, datetime.now(tz=UTC) + LINK_LIFETIME)
    return token


async def ensure_first_administrator(store: Store) -> User:
    """Return an administrator; where there is none yet, make one who comes in by link."""
    for user in await store.users():
        if user.role == "administrator":
            return user
    try:
        return await create_user(store, FIRST_ADMINISTRATOR, None, "administrator")
    except GatewayError as error:
        user = await find_user(store, FIRST_ADMINISTRATOR)
        if error.code != "username_taken" or user.role != "administrator":
            raise
        return user  # another program that starts at this moment was first


async def create_agent(
    store: Store, accounts: Accounts, images: Collection[str], user: User, wish: Mapping[str, Any]
) -> Agent:
    """`wish` is what `POST /api/agents` takes."""
    return await agents.create_agent(store, accounts, images, user.id, wish)


async def create_session(
    store: Store, user: User, agent_id: str | None = None, title: str = ""
) -> tuple[Session, str]:
    """Return the session and its access token, which is shown this once."""
    return await sessions.create_session(store, user.id, agent_id, title)
