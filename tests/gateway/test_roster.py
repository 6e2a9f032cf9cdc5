"""The memory of who may come in."""

from dataclasses import replace
from datetime import UTC, datetime

from gateway.roster import Login, Roster, Session, User

ALICE, BOB = User("a", "alice", "user"), User("b", "bob", "administrator")
LOGIN = Login("l", "a", 10.0)
SESSION = Session("s", "a", "agent", "", "hash", datetime(2026, 1, 1, tzinfo=UTC))


def loaded() -> Roster:
    roster = Roster()
    roster.load(
        [ALICE, BOB],
        [LOGIN, Login("m", "b", 10.0)],
        [SESSION, replace(SESSION, id="t", user_id="b", token_hash="other")],
        [("a", "agent")],
    )
    return roster


def test_all_that_was_loaded_is_found() -> None:
    roster = loaded()

    assert (roster.user("a"), roster.login("l"), roster.session("s")) == (ALICE, LOGIN, SESSION)
    assert roster.session_of_token("hash") is SESSION
    assert roster.sessions_of("a") == [SESSION]
    assert (roster.has_agent("a"), roster.has_agent("b")) == (True, False)


def test_nothing_else_is_found() -> None:
    roster = loaded()

    assert (roster.user("x"), roster.login("x"), roster.session("x")) == (None, None, None)
    assert roster.session_of_token("x") is None
    assert roster.sessions_of("x") == []


def test_removed_sessions_token_is_gone_with_it() -> None:
    roster = loaded()
    roster.remove_session("s")

    assert roster.session("s") is roster.session_of_token("hash") is None


def test_removed_login_is_gone_and_no_other() -> None:
    roster = loaded()
    roster.remove_login("l")

    assert roster.login("l") is None
    assert roster.contents().logins == {"m"}


def test_last_agents_removal_counts() -> None:
    roster = loaded()
    roster.add_agent("a", "second")
    roster.remove_agent("a", "agent")
    assert roster.has_agent("a")
    roster.remove_agent("a", "second")

    assert not roster.has_agent("a")


def test_removing_what_is_not_there_does_nothing() -> None:
    roster = loaded()
    roster.remove_login("x")
    roster.remove_session("x")
    roster.remove_agent("x", "x")

    assert roster.sessions_of("a") == [SESSION]
