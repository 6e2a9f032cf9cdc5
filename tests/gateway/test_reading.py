"""Who is recognised again by the same credentials, and for how long."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.credentials import Caller
from gateway.reading import Made, Reading, Readings
from gateway.roster import Login, Roster, Session
from gateway.routing import Upstream
from gateway.via import Via
from gateway.wire.door import Relay
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from gateway.wire.upstream import Pool

# Far off: a whole run of the tests lies between the import and the test.
LOGIN = Login("login", "alice", time.time() + 24 * 3600)
SESSION = Session("session", "alice", "agent", "", "hash", datetime.now(tz=UTC))
ALICE = Caller("alice", "login", "session", "cookie")
VIA = Via([b"k" * 32])
POOL = Pool("agent_1", "10.0.0.2", 4096)
UPSTREAM = Upstream("agent_1", "10.0.0.2", 4096, b"Basic x", POOL)


@pytest.fixture
def roster() -> Roster:
    made = Roster()
    made.add_login(LOGIN)
    made.add_session(SESSION)
    return made


def reading(lines: bytes = b"Cookie: a=1\r\n", readings: Readings | None = None) -> Reading:
    raw = b"GET / HTTP/1.1\r\nHost: gw.example\r\n" + lines + b"\r\n"
    return (readings or Readings(VIA)).read(parse_request(raw, HeadLimits(), Blocks()).fields)


def recognised(roster: Roster, caller: Caller = ALICE) -> Reading:
    found = reading()
    found.sender.recognise(caller, roster)
    return found


def test_a_caller_is_recognised_again(roster: Roster) -> None:
    assert recognised(roster).sender.caller(roster) is ALICE


def test_nobody_is_recognised_who_was_not_before(roster: Roster) -> None:
    assert reading().sender.caller(roster) is None


def test_an_ended_login_is_not_recognised(roster: Roster) -> None:
    found = recognised(roster)
    roster.remove_login("login")

    assert found.sender.caller(roster) is None


def test_an_expired_login_is_not_recognised(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recognised(roster)
    monkeypatch.setattr(time, "time", lambda: LOGIN.expires_at)

    assert found.sender.caller(roster) is None


def test_a_removed_session_is_not_recognised(roster: Roster) -> None:
    found = recognised(roster)
    roster.remove_session("session")

    assert found.sender.caller(roster) is None


def test_a_token_outlives_every_login(roster: Roster) -> None:
    by_token = Caller("alice", None, "session", "bearer")
    found = recognised(roster, by_token)
    roster.remove_login("login")

    assert found.sender.caller(roster) is by_token


def test_a_caller_without_a_session_is_asked_for_each_time(roster: Roster) -> None:
    undecided = recognised(roster, Caller("alice", "login", None, "cookie"))

    assert undecided.sender.caller(roster) is None


@pytest.mark.parametrize(
    ("lines", "same"),
    [
        (b"Content-Length: 0\r\nCookie: a=1\r\n", True),
        (b"Cookie: a=2\r\n", False),
        (b"Cookie: a=1\r\nCookie: b=1\r\n", False),
        (b"Cookie: a=1\r\nAuthorization: Bearer x\r\n", False),
        (b"Authorization: a=1\r\n", False),
    ],
)
def test_a_sender_is_known_by_all_credentials_and_nothing_else(lines: bytes, same: bool) -> None:
    readings = Readings(VIA)
    first = reading(readings=readings)

    assert (reading(lines, readings).sender is first.sender) is same


def _relay() -> Relay:
    fields: dict[str, Any] = dict.fromkeys(
        ("without", "added", "mark", "held_under", "refuse_cookie", "otherwise")
    )
    return Relay(pool=POOL, **fields)


def test_a_relay_serves_the_same_caller_upstream_and_client_again(roster: Roster) -> None:
    sender, relay = recognised(roster).sender, _relay()
    sender.made = Made(relay, ALICE, UPSTREAM, "10.0.0.9")
    stranger = Caller("alice", "login", "session", "cookie")
    moved = Upstream("agent_1", "10.0.0.3", 4096, b"Basic x", POOL)

    assert sender.relay(ALICE, UPSTREAM, "10.0.0.9") is relay
    assert sender.relay(stranger, UPSTREAM, "10.0.0.9") is None
    assert sender.relay(ALICE, moved, "10.0.0.9") is None
    assert sender.relay(ALICE, UPSTREAM, "10.0.0.8") is None


def test_what_has_passed_here_before_is_seen() -> None:
    assert reading(VIA.line(1)).looped
    assert not reading(b"Via: 1.1 another\r\n").looped
