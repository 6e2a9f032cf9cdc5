"""Who is asking, in every form that can be said, and the request without the proof."""

import hashlib
from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.credentials import (
    Caller,
    Cookies,
    Presented,
    auth_token,
    basic_password,
    identify,
    without_auth_token,
)
from gateway.roster import Login, Roster, Session, User

NOW = 1000.0
KEY, NEXT_KEY = b"k" * 32, b"n" * 32
ALICE, BOB = "a" * 32, "b" * 32
LOGIN, SESSION, FOREIGN = "1" * 32, "5" * 32, "6" * 32
TOKEN = b"alices-access-token"
COOKIES = Cookies([KEY], secure=False)
COOKIE_CALLER = Caller(ALICE, LOGIN, SESSION, "cookie")


def roster() -> Roster:
    made = Roster()
    made.load(
        [User(ALICE, "alice", "user"), User(BOB, "bob", "user")],
        [Login(LOGIN, ALICE, NOW + 60)],
        [_session(SESSION, ALICE, TOKEN), _session(FOREIGN, BOB, b"bobs-access-token")],
        [],
    )
    return made


def _session(session_id: str, user_id: str, token: bytes) -> Session:
    digest = hashlib.sha256(token).hexdigest()
    return Session(session_id, user_id, "agent", "", digest, datetime(2026, 1, 1, tzinfo=UTC))


def pair(
    login_id: str = LOGIN, session_id: str | None = SESSION, cookies: Cookies = COOKIES
) -> bytes:
    """Return the pair that a browser sends back."""
    return cookies.set_header(login_id, session_id).partition(";")[0].encode()


def basic(user: bytes, password: bytes) -> bytes:
    return b64encode(user + b":" + password)


def asks(*fields: bytes, now: float = NOW, cookies: Cookies = COOKIES) -> Caller | None:
    return identify(Presented(cookies=fields), cookies, roster(), now)


# The cookie


def test_cookie_names_login_and_session() -> None:
    assert asks(pair()) == COOKIE_CALLER


@pytest.mark.parametrize(
    "field",
    [
        b"a=1; " + pair(),
        pair() + b"; a=1",
        b"a=1;" + pair() + b";b=2",
        pair().replace(b"=", b'="', 1) + b'"',
        b" \t" + pair() + b" ",
    ],
)
def test_cookie_is_found_among_others(field: bytes) -> None:
    assert asks(field) == COOKIE_CALLER


def test_cookie_is_found_in_a_second_field() -> None:
    assert asks(b"a=1", pair()) == COOKIE_CALLER


def test_login_may_have_no_session_yet() -> None:
    assert asks(pair(session_id=None)) == Caller(ALICE, LOGIN, None, "cookie")


def test_login_outlives_its_session() -> None:
    assert asks(pair(session_id="7" * 32)) == Caller(ALICE, LOGIN, None, "cookie")


@pytest.mark.parametrize(
    "fields",
    [
        (pair() + b"; " + pair(),),
        (pair(), pair()),
        (pair() + b"; opencode-gateway=tossed",),
        (b"opencode-gateway=; " + pair(),),
        (b"opencode-gateway; " + pair(),),
    ],
)
def test_two_cookies_of_our_name_are_none(fields: tuple[bytes, ...]) -> None:
    assert asks(*fields) is None


@pytest.mark.parametrize("place", range(len(pair())))
def test_cookie_with_any_byte_changed_is_nobodys(place: int) -> None:
    good = pair()
    other = b"A" if good[place : place + 1] != b"A" else b"B"

    assert asks(good[:place] + other + good[place + 1 :]) is None


@given(st.binary(max_size=80))
def test_no_made_up_cookie_is_believed(noise: bytes) -> None:
    assert asks(b"opencode-gateway=" + noise) is None


def test_endless_cookie_is_not_even_verified() -> None:
    assert asks(pair() + b"A" * 600) is None


def test_cookie_of_another_key_is_nobodys() -> None:
    assert asks(pair(cookies=Cookies([NEXT_KEY], secure=False))) is None


def test_older_keys_still_verify_and_the_newest_signs() -> None:
    rotated = Cookies([NEXT_KEY, KEY], secure=False)

    assert asks(pair(), cookies=rotated) == COOKIE_CALLER
    assert asks(pair(cookies=rotated), cookies=Cookies([NEXT_KEY], secure=False)) == COOKIE_CALLER
    assert asks(pair(), cookies=Cookies([NEXT_KEY], secure=False)) is None


def test_expired_login_is_nobody() -> None:
    assert asks(pair(), now=NOW + 59.9) == COOKIE_CALLER
    assert asks(pair(), now=NOW + 60) is None


def test_verified_cookie_of_a_removed_login_is_nobodys() -> None:
    known = roster()
    presented = Presented(cookies=(pair(),))
    assert identify(presented, COOKIES, known, NOW) == COOKIE_CALLER
    known.remove_login(LOGIN)

    assert identify(presented, COOKIES, known, NOW) is None


def test_cookie_naming_another_users_session_is_nobodys() -> None:
    assert asks(pair(session_id=FOREIGN)) is None


def test_cache_of_verified_cookies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.credentials._CACHED_COOKIES", 3)
    cookies = Cookies([KEY], secure=False)
    for number in range(10):
        cookies.read((pair(login_id=f"{number:032}"),))

    assert len(cookies._verified) <= 3


@pytest.mark.parametrize(
    ("secure", "header"),
    [
        (False, "opencode-gateway={}; HttpOnly; Path=/; SameSite=Lax"),
        (True, "__Host-opencode-gateway={}; HttpOnly; Path=/; SameSite=Lax; Secure"),
    ],
)
def test_cookie_is_set_for_this_host_alone(secure: bool, header: str) -> None:
    made = Cookies([KEY], secure=secure).set_header(LOGIN, SESSION)

    assert made == header.format(made.partition(";")[0].partition("=")[2])


def test_cookie_is_cleared_by_its_own_attributes() -> None:
    assert COOKIES.clear_header() == (
        'opencode-gateway=""; HttpOnly; Path=/; SameSite=Lax; Max-Age=0'
    )


def test_secure_and_plain_cookies_are_not_each_others() -> None:
    secure = Cookies([KEY], secure=True)

    assert asks(pair(), cookies=secure) is None
    assert asks(pair(cookies=secure)) is None


# What an upstream may set


@pytest.mark.parametrize(
    ("set_cookie", "ours"),
    [
        (b"opencode-gateway=x", True),
        (b"opencode-gateway =x; Path=/", True),
        (b" \topencode-gateway=x", True),
        (b"OpenCode-Gateway=x", True),
        (b"opencode-gateway", True),
        (b"opencode-gateway; Path=/x", True),
        (b"=opencode-gateway=x", True),
        (b"= OPENCODE-gateway=x", True),
        (b"opencode-gateway2=x", False),
        (b"other=opencode-gateway", False),
        (b"other=1; opencode-gateway=x", False),
        (b"", False),
    ],
)
def test_cookie_that_would_replace_ours_is_known(set_cookie: bytes, ours: bool) -> None:
    assert COOKIES.is_ours(set_cookie) is ours


# Taking the proof out


@pytest.mark.parametrize(
    ("field", "stripped"),
    [
        (pair(), b""),
        (pair() + b"; a=1", b"a=1"),
        (b"a=1; " + pair(), b"a=1"),
        (b"a=1; " + pair() + b"; b=2", b"a=1; b=2"),
        (b"a=1;" + pair() + b";b=2", b"a=1;b=2"),
        (pair() + b"; " + pair(), b""),
        (b"a=1; opencode-gateway; b", b"a=1; b"),
        (b'a="1; 2";  b=\xff=;; c', b'a="1; 2";  b=\xff=;; c'),
        (b"xopencode-gateway=1", b"xopencode-gateway=1"),
        (b"a=opencode-gateway", b"a=opencode-gateway"),
        (b'opencode-gateway="x"; a', b"a"),
    ],
)
def test_our_pair_is_taken_out_and_every_other_byte_stays(field: bytes, stripped: bytes) -> None:
    assert COOKIES.strip(field) == stripped


@given(st.lists(st.sampled_from([b"a=1", b"b", b" c = d ", b"=e", b"", b"f=\xff"]), max_size=5))
def test_cookies_without_ours_pass_byte_for_byte(parts: list[bytes]) -> None:
    field = b";".join(parts)

    assert COOKIES.strip(field) == field


@given(st.integers(0, 4), st.lists(st.sampled_from([b"a=1", b" b=2", b" c"]), max_size=4))
def test_nothing_of_our_pair_is_ever_left(place: int, parts: list[bytes]) -> None:
    parts.insert(min(place, len(parts)), b" " + pair())

    assert b"opencode-gateway" not in COOKIES.strip(b";".join(parts))


@pytest.mark.parametrize(
    ("target", "without"),
    [
        (b"/x?auth_token=a", b"/x"),
        (b"/x?auth_token=a&b=1", b"/x?b=1"),
        (b"/x?b=%2F&auth_token=a&c=;", b"/x?b=%2F&c=;"),
        (b"/x?auth_token=a&auth_token=b", b"/x"),
        (b"/x?auth_token=", b"/x"),
        (b"/x?auth%5Ftoken=a&b=1", b"/x?b=1"),
        (b"/x?%61uth_token=a", b"/x"),
        (b"/x?AUTH_TOKEN=a", b"/x"),
        (b"/x?a=b;auth_token=c", b"/x"),
        (b"/x?my_auth_token=a", b"/x?my_auth_token=a"),
        (b"/x?b=1&&c", b"/x?b=1&&c"),
        (b"/x?", b"/x?"),
        (b"/auth_token=a?b", b"/auth_token=a?b"),
        (b"/x", b"/x"),
    ],
)
def test_auth_token_is_taken_out_and_every_other_byte_stays(target: bytes, without: bytes) -> None:
    assert without_auth_token(target) == without


# Basic, Bearer and auth_token


@pytest.mark.parametrize(
    ("authorization", "via"),
    [
        (b"Basic " + basic(b"opencode", TOKEN), "basic"),
        (b"basic  " + basic(b"", TOKEN) + b" ", "basic"),
        (b"BASIC " + basic(b"anybody at all", TOKEN), "basic"),
        (b"Bearer " + TOKEN, "bearer"),
        (b"bearer  " + TOKEN, "bearer"),
    ],
)
def test_access_token_is_a_basic_password_or_a_bearer_token(authorization: bytes, via: str) -> None:
    caller = identify(Presented(authorization=authorization), COOKIES, roster(), NOW)

    assert caller == Caller(ALICE, None, SESSION, via)  # type: ignore[arg-type]


def test_access_token_may_come_as_opencodes_query_parameter() -> None:
    value = auth_token(b"a=1&auth_token=" + basic(b"opencode", TOKEN).replace(b"=", b"%3D"))
    caller = identify(Presented(auth_token=value), COOKIES, roster(), NOW)

    assert caller == Caller(ALICE, None, SESSION, "query")


@pytest.mark.parametrize(
    "authorization",
    [
        b"",
        b"Basic",
        b"Basic ",
        b"Basic !!!!",
        b"Basic " + b64encode(TOKEN),
        b"Basic " + basic(b"opencode", b""),
        b"Basic " + basic(b"opencode", TOKEN + b"x"),
        b"Basic " + basic(TOKEN, b"opencode"),
        b"Basic " + basic(b"a", b"b" * 10_000),
        b"Basic " + basic(b"a:" + TOKEN, b"c"),
        b"Bearer",
        b"Bearer " + TOKEN[:-1],
        b"Bearer " + b"t" * 10_000,
        b"Bearer \xff\xfe",
        b"Digest " + TOKEN,
        TOKEN,
    ],
)
def test_any_other_authorization_is_nobodys(authorization: bytes) -> None:
    assert identify(Presented(authorization=authorization), COOKIES, roster(), NOW) is None


def test_token_of_a_removed_session_is_nobodys() -> None:
    known = roster()
    known.remove_session(SESSION)

    presented = Presented(authorization=b"Bearer " + TOKEN)
    assert identify(presented, COOKIES, known, NOW) is None


def test_cookie_comes_before_the_token() -> None:
    presented = Presented((pair(),), b"Bearer bobs-access-token")

    assert identify(presented, COOKIES, roster(), NOW) == COOKIE_CALLER


def test_token_counts_where_the_cookie_does_not() -> None:
    presented = Presented((b"opencode-gateway=forged",), b"Bearer " + TOKEN)

    assert identify(presented, COOKIES, roster(), NOW) == Caller(ALICE, None, SESSION, "bearer")


def test_nobody_presents_nothing() -> None:
    assert identify(Presented(), COOKIES, roster(), NOW) is None


def test_basic_password_begins_behind_the_first_colon() -> None:
    assert basic_password(basic(b"user", b"pass:word")) == b"pass:word"


@given(st.binary(max_size=60))
def test_no_noise_in_a_credential_makes_it_fail(noise: bytes) -> None:
    presented = Presented((noise,), b"Basic " + noise, auth_token(noise))

    assert identify(presented, COOKIES, roster(), NOW) is None
