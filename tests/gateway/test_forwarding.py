"""The head that an upstream sees: ours taken out, its own put in, the rest as it came."""

import pytest

from gateway.credentials import Cookies
from gateway.forwarding import Forwarding
from gateway.routing import Upstream
from gateway.via import Via
from gateway.wire.door import Answer, Client, Decision, Failure
from gateway.wire.request_head import Blocks, HeadLimits, RequestHead, parse_request
from gateway.wire.upstream import Pool

COOKIES = Cookies([b"k" * 32], secure=False)
OURS = COOKIES.set_header("1" * 32, "5" * 32).partition(";")[0].encode()
POOL = Pool("agent_1", "10.0.0.2", 4096)
OWN = b"Basic container-password"
VIA = Via([b"k" * 32])
ADDED = (
    b"Authorization: " + OWN + b"\r\nX-Forwarded-For: 10.1.2.3\r\n"
    b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: gw.example\r\n"
    b"Via: 1.1 opencode-gateway-adc036f09a2e\r\n"
)


def otherwise(head: RequestHead, client: Client, failure: Failure) -> Decision:
    return Answer(502, b"")


def sent(*lines: bytes, target: bytes = b"/x", authorization: bytes = OWN) -> bytes:
    """Return the head that goes to an upstream for a request with these lines."""
    raw = b"GET " + target + b" HTTP/1.1\r\nHost: gw.example\r\n"
    head = parse_request(
        raw + b"".join(line + b"\r\n" for line in lines) + b"\r\n", HeadLimits(), Blocks()
    )
    relay = Forwarding(COOKIES, b"https", VIA).relay(
        head,
        Client("10.1.2.3", 5),
        Upstream("agent_1", "10.0.0.2", 4096, authorization, POOL),
        mark=b"",
        held_under=(),
        otherwise=otherwise,
    )
    return head.for_upstream(head.target, relay.without, relay.added)


def whole(*lines: bytes, target: bytes = b"/x", added: bytes = ADDED) -> bytes:
    """Return a head of these lines and what we add."""
    kept = b"".join(line + b"\r\n" for line in lines)
    return b"GET " + target + b" HTTP/1.1\r\nHost: gw.example\r\n" + kept + added + b"\r\n"


def test_upstream_sees_its_own_password_and_who_asked() -> None:
    assert sent(b"Accept: */*", b"accept:a") == whole(b"Accept: */*", b"accept:a")


def test_upstream_without_a_password_gets_none() -> None:
    without = ADDED.partition(b"\r\n")[2]

    assert sent(b"Authorization: Basic x", authorization=b"") == whole(added=without)


@pytest.mark.behaviour(17, 18)
@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Bearer token",
        b"AUTHORIZATION: Basic x",
        b"Forwarded: for=1.1.1.1",
        b"X-Forwarded-For: 1.1.1.1",
        b"x-forwarded-host: evil",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Port: 1",
        b"X-Forwarded-Prefix: /evil",
        b"X-Real-IP: 1.1.1.1",
        b"X_Forwarded_For: 1.1.1.1",
        b"x_real-ip: 1.1.1.1",
        b"Connection: x-forwarded-for, authorization",
        b"Proxy-Authorization: Basic x",
    ],
)
def test_what_a_client_claims_is_not_passed_on(line: bytes) -> None:
    assert sent(line, line) == whole()


@pytest.mark.behaviour(15)
def test_foreign_cookies_pass_as_they_came() -> None:
    lines = (b"Cookie: a=1; b", b"cookie:  c=2 ")

    assert sent(*lines) == whole(*lines)


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        ((b"Cookie: " + OURS,), b""),
        ((b"Cookie: a=1; " + OURS + b"; b=2",), b"Cookie: a=1; b=2\r\n"),
        ((b"Cookie: a=1", b"Cookie: " + OURS, b"Cookie: b=2"), b"Cookie: a=1\r\nCookie: b=2\r\n"),
        ((b"Cookie: opencode-gateway=forged; a=1",), b"Cookie: a=1\r\n"),
        ((b"Connection: cookie", b"Cookie: " + OURS), b""),
    ],
)
def test_our_cookie_is_passed_to_nobody(lines: tuple[bytes, ...], kept: bytes) -> None:
    assert sent(*lines) == whole(added=ADDED + kept)
