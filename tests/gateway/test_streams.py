"""Under which names connections are held, and what ends them."""

from gateway.credentials import Caller
from gateway.streams import Streams, names
from gateway.wire.live import Live


class Connection:
    def __init__(self) -> None:
        self.revoked = False

    def revoke(self) -> None:
        self.revoked = True


def held(live: Live, caller: Caller, *, fallback_events: bool = False) -> Connection:
    connection = Connection()
    live.enter(names(caller, fallback_events=fallback_events), connection)
    return connection


def test_login_ends_what_it_opened_and_nothing_else() -> None:
    live = Live()
    mine = held(live, Caller("alice", "login", "session", "cookie"))
    by_token = held(live, Caller("alice", None, "session", "bearer"))
    Streams(live).close_login("login")

    assert (mine.revoked, by_token.revoked) == (True, False)


def test_session_ends_what_is_open_to_it_however_it_was_asked_for() -> None:
    live = Live()
    by_cookie = held(live, Caller("alice", "login", "session", "cookie"))
    by_token = held(live, Caller("alice", None, "session", "bearer"))
    elsewhere = held(live, Caller("alice", "login", "other", "cookie"))
    Streams(live).close_session("session")

    assert (by_cookie.revoked, by_token.revoked, elsewhere.revoked) == (True, True, False)


def test_only_the_shared_services_streams_end_when_the_container_is_back() -> None:
    live = Live()
    caller = Caller("alice", "login", "session", "cookie")
    own, shared = held(live, caller), held(live, caller, fallback_events=True)
    Streams(live).close_fallback("session")

    assert (own.revoked, shared.revoked) == (False, True)


def test_login_and_session_of_one_id_are_two_names() -> None:
    assert names(Caller("u", "x", "x", "cookie")) == ("login x", "session x")
    assert names(Caller("u", "x", None, "cookie"), fallback_events=True) == ("login x",)
