"""What one worker learns that the others must know at once, and how it is said on a line of JSON.

Each kind of news is a record of its own. It does not know what becomes of news (`gateway.changes`)
nor how lines travel (`gateway.workers`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from gateway.roster import Login, Session, User


@dataclass(frozen=True, slots=True)
class LoginMade:
    user: User
    login: Login


@dataclass(frozen=True, slots=True)
class LoginEnded:
    login_id: str


@dataclass(frozen=True, slots=True)
class SessionMade:
    """Also of one that stays after all: its deletion was asked and could not be done."""

    session: Session


@dataclass(frozen=True, slots=True)
class SessionLeaving:
    """It is being deleted; its row may still be there."""

    session_id: str


@dataclass(frozen=True, slots=True)
class SessionRemoved:
    session_id: str


@dataclass(frozen=True, slots=True)
class UserRemoved:
    user_id: str


@dataclass(frozen=True, slots=True)
class AgentMade:
    user_id: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class AgentRemoved:
    user_id: str
    agent_id: str


@dataclass(frozen=True, slots=True)
class ConversationShared:
    """The shared service created this conversation for this session."""

    conversation_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class TicketAsked:
    terminal_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class AttemptBegun:
    """Somebody at this address tries to log in by this name."""

    username: str
    address: str


@dataclass(frozen=True, slots=True)
class AttemptSucceeded:
    username: str
    address: str


News = (
    LoginMade
    | LoginEnded
    | SessionMade
    | SessionLeaving
    | SessionRemoved
    | UserRemoved
    | AgentMade
    | AgentRemoved
    | ConversationShared
    | TicketAsked
    | AttemptBegun
    | AttemptSucceeded
)
_FLAT: Mapping[str, Callable[..., News]] = {
    kind.__name__: kind
    for kind in (
        LoginEnded, SessionLeaving, SessionRemoved, UserRemoved, AgentMade, AgentRemoved,
        ConversationShared, TicketAsked, AttemptBegun, AttemptSucceeded,
    )
}  # fmt: skip


class NotUnderstood(Exception):
    """News of another version's, as while a reload changes workers."""


def to_json(news: News) -> dict[str, Any]:
    """Return what `json.dumps` takes; the kind is under `news`."""
    told: dict[str, Any] = json.loads(json.dumps(asdict(news), default=datetime.isoformat))
    return {"news": type(news).__name__, **told}


def from_json(told: Mapping[str, Any]) -> News:
    """Raises NotUnderstood."""
    rest = dict(told)
    kind = rest.pop("news", None)
    try:
        match kind:
            case "LoginMade":
                return LoginMade(User(**rest["user"]), Login(**rest["login"]))
            case "SessionMade":
                created_at = datetime.fromisoformat(rest["session"]["created_at"])
                return SessionMade(Session(**{**rest["session"], "created_at": created_at}))
        return _FLAT[kind](**rest)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotUnderstood(f"News of the kind {kind!r} is not understood here.") from error
