"""What becomes of news, whoever made it: here at once, and told to the others."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from gateway.absent import login_key, session_key
from gateway.attempts import Attempts
from gateway.changes import Changes
from gateway.conversations import Conversations
from gateway.errors import GatewayError
from gateway.news import (
    AgentMade,
    AgentRemoved,
    AttemptBegun,
    AttemptSucceeded,
    ConversationShared,
    LoginEnded,
    LoginMade,
    News,
    SessionLeaving,
    SessionMade,
    SessionRemoved,
    TicketAsked,
    UserRemoved,
)
from gateway.roster import Login, Roster, Session, User
from gateway.streams import Streams
from gateway.wire.live import Live

ALICE = User("u", "alice", "user")
LOGIN = Login("l", "u", 1e12)
SESSION = Session("s", "u", "a", "", "hash", datetime(2026, 1, 2, tzinfo=UTC))


class Connection:
    def __init__(self) -> None:
        self.revoked = False

    def revoke(self) -> None:
        self.revoked = True


@dataclass
class Worker:
    """The parts that news change; what it tells the others is in `told`."""

    roster: Roster = field(default_factory=Roster)
    conversations: Conversations = field(default_factory=lambda: Conversations(cast(Any, None)))
    attempts: Attempts = field(default_factory=Attempts)
    live: Live = field(default_factory=Live)
    told: list[News] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.changes = Changes(
            self.roster, self.conversations, self.attempts, Streams(self.live), self.told.append
        )

    def holds(self, name: str) -> Connection:
        connection = Connection()
        self.live.enter((name,), connection)
        return connection


@pytest.fixture
def worker() -> Worker:
    worker = Worker()
    worker.changes.take(LoginMade(ALICE, LOGIN))
    worker.changes.take(SessionMade(SESSION))
    return worker


def test_what_is_made_here_is_taken_in_and_told(worker: Worker) -> None:
    worker.changes.make(LoginEnded("l"))

    assert worker.roster.login("l") is None
    assert worker.told == [LoginEnded("l")]


def test_what_others_made_is_not_told_again(worker: Worker) -> None:
    worker.changes.take(LoginEnded("l"))

    assert worker.roster.login("l") is None
    assert worker.told == []


def test_a_login_made_elsewhere_is_known_with_its_user(worker: Worker) -> None:
    assert worker.roster.login("l") == LOGIN
    assert worker.roster.user("u") == ALICE


def test_an_ended_login_ends_what_is_open_and_is_not_looked_for(worker: Worker) -> None:
    held, other = worker.holds("login l"), worker.holds("login m")

    worker.changes.take(LoginEnded("l"))

    assert (held.revoked, other.revoked) == (True, False)
    assert login_key("l") in worker.changes.absent


def test_a_session_that_is_being_deleted_is_nobodys_but_its_streams_go_on(worker: Worker) -> None:
    held = worker.holds("session s")

    worker.changes.take(SessionLeaving("s"))

    assert worker.roster.session("s") is None
    assert session_key("s") in worker.changes.absent
    assert not held.revoked


def test_a_session_that_could_not_be_deleted_is_back(worker: Worker) -> None:
    worker.changes.take(SessionLeaving("s"))
    worker.changes.take(SessionMade(SESSION))

    assert worker.roster.session("s") == SESSION
    assert session_key("s") not in worker.changes.absent


def test_a_deleted_session_leaves_nothing(worker: Worker) -> None:
    worker.changes.take(ConversationShared("ses_1", "s"))
    held = worker.holds("session s")

    worker.changes.take(SessionRemoved("s"))

    assert held.revoked
    assert worker.roster.session("s") is worker.roster.session_of_token("hash") is None
    assert not worker.conversations.is_shared("ses_1", "s")
    assert session_key("s") in worker.changes.absent


def test_agents_come_and_go(worker: Worker) -> None:
    worker.changes.take(AgentMade("u", "a"))
    assert worker.roster.has_agent("u")

    worker.changes.take(AgentRemoved("u", "a"))
    assert not worker.roster.has_agent("u")


def test_a_removed_user_is_forgotten(worker: Worker) -> None:
    worker.changes.take(UserRemoved("u"))

    assert worker.roster.user("u") is None


def test_a_shared_conversation_is_known(worker: Worker) -> None:
    worker.changes.take(ConversationShared("ses_1", "s"))

    assert worker.conversations.is_shared("ses_1", "s")


def test_a_terminals_ticket_leads_to_its_session(worker: Worker) -> None:
    worker.changes.take(TicketAsked("pty_1", "s"))

    assert worker.changes.tickets.session_of("pty_1", 0.0) == "s"


def test_attempts_elsewhere_count_here(worker: Worker) -> None:
    for _ in range(12):
        worker.changes.take(AttemptBegun("alice", "10.0.0.1"))

    with pytest.raises(GatewayError, match="Too many attempts"):
        worker.attempts.begin("alice", "10.0.0.1")
    worker.attempts.begin("alice", "10.0.0.2")


def test_a_success_elsewhere_forgets_them(worker: Worker) -> None:
    for _ in range(10):
        worker.changes.take(AttemptBegun("alice", "10.0.0.1"))
    worker.changes.take(AttemptSucceeded("alice", "10.0.0.1"))

    worker.attempts.begin("alice", "10.0.0.1")
