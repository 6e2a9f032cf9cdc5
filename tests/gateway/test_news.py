"""News of every kind arrives as it was told, and what is not understood says so."""

import json
from datetime import UTC, datetime

import pytest

from gateway import news
from gateway.news import (
    AgentMade,
    AgentRemoved,
    AttemptBegun,
    AttemptSucceeded,
    ConversationShared,
    LoginEnded,
    LoginMade,
    News,
    NotUnderstood,
    SessionLeaving,
    SessionMade,
    SessionRemoved,
    TicketAsked,
    UserRemoved,
)
from gateway.roster import Login, Session, User

SESSION = Session("s", "u", "a", "title", "hash", datetime(2026, 1, 2, 3, 4, 5, 6, UTC))


@pytest.mark.parametrize(
    "told",
    [
        LoginMade(User("u", "alice", "user"), Login("l", "u", 1234.5)),
        LoginEnded("l"),
        SessionMade(SESSION),
        SessionLeaving("s"),
        SessionRemoved("s"),
        UserRemoved("u"),
        AgentMade("u", "a"),
        AgentRemoved("u", "a"),
        ConversationShared("ses_1", "s"),
        TicketAsked("pty_1", "s"),
        AttemptBegun("alice", "::1"),
        AttemptSucceeded("alice", "::1"),
    ],
)
def test_news_arrives_as_it_was_told(told: News) -> None:
    line = json.dumps(news.to_json(told))

    assert news.from_json(json.loads(line)) == told


@pytest.mark.parametrize(
    "told",
    [
        {"news": "Eclipse"},
        {"news": "LoginEnded"},
        {"news": "LoginEnded", "login_id": "l", "why": "new in a later version"},
        {"news": "SessionMade", "session": {"id": "s"}},
        {"news": "SessionMade", "session": None},
        {"news": "LoginMade", "user": [], "login": []},
        {"news": ["LoginEnded"]},
    ],
)
def test_another_versions_news_is_not_understood(told: dict[str, object]) -> None:
    with pytest.raises(NotUnderstood):
        news.from_json(told)
