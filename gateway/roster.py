"""Who may come in, in memory: users, logins, sessions and the hashes of access tokens.

A copy of the store that the hot path can read without SQL. It is filled at start and changed by
`gateway.changes` right after the store has been; it knows no HTTP, no cookie format, no container.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class User:
    id: str
    username: str
    role: str


@dataclass(frozen=True, slots=True)
class Login:
    """One sign-in of one browser. `expires_at` is in seconds since the epoch."""

    id: str
    user_id: str
    expires_at: float


@dataclass(frozen=True, slots=True)
class Session:
    """`token_hash` is the SHA-256, in hex, of the session's access token."""

    id: str
    user_id: str
    agent_id: str
    title: str
    token_hash: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Contents:
    """Which users, logins and sessions there are, by id; agents as (user id, agent id)."""

    users: set[str]
    logins: set[str]
    sessions: set[str]
    agents: set[tuple[str, str]]


class Roster:
    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._logins: dict[str, Login] = {}
        self._sessions: dict[str, Session] = {}
        self._by_token: dict[str, Session] = {}
        self._agents: dict[str, set[str]] = {}

    def load(
        self,
        users: Iterable[User],
        logins: Iterable[Login],
        sessions: Iterable[Session],
        agents: Iterable[tuple[str, str]],
    ) -> None:
        """Take over what the store holds; `agents` are pairs of (user id, agent id)."""
        for user in users:
            self.add_user(user)
        for login in logins:
            self.add_login(login)
        for session in sessions:
            self.add_session(session)
        for user_id, agent_id in agents:
            self.add_agent(user_id, agent_id)

    def user(self, user_id: str) -> User | None:
        return self._users.get(user_id)

    def login(self, login_id: str) -> Login | None:
        return self._logins.get(login_id)

    def session(self, session_id: str) -> Session | None:
        return self._sessions.get(session_id)

    def holds(self, session: Session, login: Login | None) -> bool:
        """Whether this very session, and the login it was reached by, are still known."""
        return self._sessions.get(session.id) is session and (
            login is None or self._logins.get(login.id) is login
        )

    def session_of_token(self, token_hash: str) -> Session | None:
        return self._by_token.get(token_hash)

    def sessions_of(self, user_id: str) -> list[Session]:
        return [s for s in self._sessions.values() if s.user_id == user_id]

    def has_agent(self, user_id: str) -> bool:
        return bool(self._agents.get(user_id))

    def contents(self) -> "Contents":
        """Return what is known now, to be compared with what the store holds."""
        agents = {(user_id, agent) for user_id, own in self._agents.items() for agent in own}
        return Contents(set(self._users), set(self._logins), set(self._sessions), agents)

    def add_user(self, user: User) -> None:
        self._users[user.id] = user

    def remove_user(self, user_id: str) -> None:
        self._users.pop(user_id, None)

    def add_login(self, login: Login) -> None:
        self._logins[login.id] = login

    def remove_login(self, login_id: str) -> None:
        self._logins.pop(login_id, None)

    def add_session(self, session: Session) -> None:
        self._sessions[session.id] = session
        self._by_token[session.token_hash] = session

    def remove_session(self, session_id: str) -> None:
        session = self._sessions.pop(session_id, None)
        if session is not None:
            self._by_token.pop(session.token_hash, None)

    def add_agent(self, user_id: str, agent_id: str) -> None:
        self._agents.setdefault(user_id, set()).add(agent_id)

    def remove_agent(self, user_id: str, agent_id: str) -> None:
        self._agents.get(user_id, set()).discard(agent_id)
