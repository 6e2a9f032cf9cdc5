"""Behaviours 11 to 21: which fields travel on, which stay, and which only the gateway says."""

from base64 import b64encode

import pytest

from tests.support.exchange import answered, answered_lines, forwarded, forwarded_lines
from tests.support.front import Gateway

OWN = [
    b"Authorization: Basic " + b64encode(b"opencode:inner"),
    b"X-Forwarded-For: 127.0.0.1",
    b"X-Forwarded-Proto: http",
    b"X-Forwarded-Host: gw.example",
]


async def seen_by_container(gw: Gateway, *lines: str) -> list[bytes]:
    """Return the field lines that the container gets for a request with these and the cookie.

    Without the gateway's `Via`, whose name is another in each deployment.
    """
    await gw.ask("/", who="".join(f"{line}\r\n" for line in (f"Cookie: {gw.cookie}", *lines)))
    seen = gw.container.heads[-1].split(b"\r\n")[1:-2]
    (via,) = [line for line in seen if line.startswith(b"Via: 1.1 opencode-gateway-")]
    seen.remove(via)
    return seen


@pytest.mark.behaviour(11)
@pytest.mark.parametrize(
    "line",
    [
        b"Connection: keep-alive",
        b"Proxy-Connection: keep-alive",
        b"Keep-Alive: timeout=5, max=9",
        b"TE: gzip;q=0.5",
        b"Upgrade: h2c",
        b"uPgrade: foo/2",
        b"Proxy-Authenticate: Basic",
        b"proxy-authorization: Basic eA==",
        b"Proxy-Authentication-Info: x",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
    ],
)
async def test_field_of_one_hop_travels_neither_way(line: bytes) -> None:
    assert await forwarded_lines(b"A: 1", line, b"B: 2", line) == [b"A: 1", b"B: 2"]
    assert await answered_lines(b"A: 1", line, b"B: 2", line) == [b"A: 1", b"B: 2"]


@pytest.mark.behaviour(12)
async def test_field_that_any_connection_line_names_travels_neither_way() -> None:
    lines = [
        b"Connection: X-Early, keep-alive",
        b"X-Early: 1",
        b"X-LATE: 2",
        b"Kept: 3",
        b"connection:\tx-late ,, x-none",
        b"x-early: 4",
    ]

    assert await forwarded_lines(*lines) == [b"Kept: 3"]
    assert await answered_lines(*lines) == [b"Kept: 3"]


@pytest.mark.behaviour(12)
@pytest.mark.parametrize("name", [b"content-length", b"host", b"content-length, host"])
async def test_no_connection_line_names_host_or_length_away(name: bytes) -> None:
    request = b"POST / HTTP/1.1\r\nHost: a\r\n%bContent-Length: 4\r\n\r\nbody"
    sent = await forwarded(request % (b"Connection: " + name + b"\r\n"), end=b"body")

    assert sent == request % b""


@pytest.mark.behaviour(12, 18)
async def test_no_connection_line_names_our_own_fields_away(gw: Gateway) -> None:
    nominated = "Connection: x-forwarded-for, X-Forwarded-Host, x-forwarded-proto, authorization"
    seen = await seen_by_container(gw, nominated, "X-Forwarded-For: 6.6.6.6")

    assert seen == [b"Host: gw.example", *OWN]


@pytest.mark.behaviour(13)
@pytest.mark.parametrize(
    "connection",
    [
        [b"Connection:"],
        [b"Connection: "],
        [b"Connection: ,"],
        [b"Connection:", b"Connection:", b"Connection: , ,"],
        [b"Connection: keep-alive, keep-alive", b"CONNECTION: Keep-Alive"],
        [b"Connection: , keep-alive ,", b"connection:"],
    ],
)
async def test_empty_and_repeated_connection_lines_take_nothing_else_away(
    connection: list[bytes],
) -> None:
    assert await forwarded_lines(b"A: 1", *connection, b"B: 2") == [b"A: 1", b"B: 2"]
    assert await answered_lines(b"A: 1", *connection, b"B: 2") == [b"A: 1", b"B: 2"]


@pytest.mark.behaviour(14)
@pytest.mark.parametrize(
    "said",
    [
        [b"TE: trailers", b"Connection: TE"],
        [b"Connection: te, x", b"te: gzip;q=0.5, Trailers"],
        [b"TE: deflate", b"TE: trailers"],
    ],
)
async def test_wish_for_trailers_is_all_that_passes_of_te(said: list[bytes]) -> None:
    sent = await forwarded_lines(b"A: 1", *said)

    assert sent == [b"A: 1", b"Connection: TE", b"TE: trailers"]


@pytest.mark.behaviour(14)
@pytest.mark.parametrize("te", [b"TE:", b"TE: gzip", b"TE: xtrailers", b"TE: chunked"])
async def test_no_wish_for_trailers_is_made_up(te: bytes) -> None:
    assert await forwarded_lines(b"A: 1", te, b"Connection: TE") == [b"A: 1"]


@pytest.mark.behaviour(15)
async def test_duplicates_keep_their_order_and_stay_apart_both_ways() -> None:
    lines = [b"A: 1", b"B: 1", b"a: 2", b"A: 1", b"Accept: x", b"Accept: y", b"A:"]

    assert await forwarded_lines(*lines) == lines
    assert await answered_lines(*lines) == lines


@pytest.mark.behaviour(15)
async def test_cookies_are_never_joined() -> None:
    cookies = [b"Cookie: a=1; b", b"cookie:  c=2 ", b"Cookie: a=1; b"]
    set_cookies = [b"Set-Cookie: a=1, b=2; Path=/", b"X: y", b"set-cookie: c=3", b"Set-Cookie: a=1"]

    assert await forwarded_lines(*cookies) == cookies
    assert await answered_lines(*set_cookies) == set_cookies


@pytest.mark.behaviour(15)
async def test_cookies_beside_our_own_stay_apart(gw: Gateway) -> None:
    seen = await seen_by_container(gw, "Cookie: a=1; b=2", "Cookie: c=3")

    assert [line for line in seen if line.startswith(b"Cookie")] == [
        b"Cookie: a=1; b=2",
        b"Cookie: c=3",
    ]


@pytest.mark.behaviour(16)
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"DELETE /x HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
async def test_nothing_is_invented(request_bytes: bytes) -> None:
    assert await forwarded(request_bytes) == request_bytes


@pytest.mark.behaviour(16)
async def test_whole_gateway_adds_a_credential_who_asked_and_via_and_nothing_else(
    gw: Gateway,
) -> None:
    assert await seen_by_container(gw) == [b"Host: gw.example", *OWN]


@pytest.mark.behaviour(17)
async def test_peer_replaces_whoever_the_client_says_it_comes_from(gw: Gateway) -> None:
    seen = await seen_by_container(
        gw,
        "X-Forwarded-For: 6.6.6.6, 7.7.7.7",
        "x-forwarded-for: 127.0.0.1",
        "X-Forwarded-For:",
        "X-Forwarded-For: unknown",
    )

    assert seen == [b"Host: gw.example", *OWN]


@pytest.mark.behaviour(18)
async def test_forwarding_fields_are_ours_to_say(gw: Gateway) -> None:
    seen = await seen_by_container(
        gw,
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: evil.example",
        "X-Forwarded-Port: 666",
        "X-Forwarded-Prefix: /evil",
        "X-Real-IP: 6.6.6.6",
        "Forwarded: for=6.6.6.6;host=evil.example",
        "X_Forwarded_For: 6.6.6.6",
        "x_forwarded-HOST: evil.example",
        "X-Real_IP: 6.6.6.6",
    )

    assert seen == [b"Host: gw.example", *OWN]


@pytest.mark.behaviour(19)
async def test_a_client_cannot_name_the_gateways_via_away(
    gw: Gateway,
) -> None:
    lines = ["Connection: via", "Via: 1.0 p.example"]

    assert await seen_by_container(gw, *lines) == [b"Host: gw.example", *OWN]


@pytest.mark.behaviour(20)
@pytest.mark.parametrize(
    "line",
    [
        b"X-Obs: \x80\xff\xe9 \xc3\xa9",
        b"x-lower: 1",
        b"X-UPPER: 1",
        b"!#$%&'*+-.^_`|~09: 1",
        b"X-Space: \t a  b\t",
        b"X-None:",
        b'X-Quoted: "a\\"b", (c)',
    ],
)
async def test_names_and_values_travel_byte_for_byte_both_ways(line: bytes) -> None:
    assert await forwarded_lines(line) == [line]
    assert await answered_lines(line) == [line]


@pytest.mark.behaviour(21)
@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 200 Very Fine",
        b"HTTP/1.1 404 ",
        b"HTTP/1.1 500 \xe9t\xe9, (odd) \t!",
        b"HTTP/1.1 418 I'm a teapot",
    ],
)
async def test_reason_and_case_of_a_response_are_kept(first: bytes) -> None:
    rest = b"\r\ndate: then\r\nCONTENT-length: 0\r\nX-mIxEd: 1\r\n"

    assert (await answered(first + rest + b"\r\n")).startswith(first + rest)
