"""Which request heads are taken, and what of them is sent on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.fields import BadHead
from gateway.wire.request_head import Blocks, HeadLimits, RequestHead, parse_request
from gateway.wire.response_head import ResponseHead, parse_response

LIMITS = HeadLimits(head_bytes=512, target_bytes=100, fields=8)
NOTHING: frozenset[bytes] = frozenset()


def request(*lines: bytes, first: bytes = b"GET /x HTTP/1.1", host: bool = True) -> RequestHead:
    hosts = [b"Host: gw.example"] if host else []
    return parse_request(b"\r\n".join([first, *hosts, *lines, b"", b""]), LIMITS, Blocks())


def response(*lines: bytes, first: bytes = b"HTTP/1.1 200 OK") -> ResponseHead:
    return parse_response(b"\r\n".join([first, *lines, b"", b""]))


def refused(head: bytes) -> int:
    with pytest.raises(BadHead) as caught:
        parse_request(head, LIMITS, Blocks())
    return caught.value.status


# Request lines


@pytest.mark.behaviour(1, 2)
@pytest.mark.parametrize(
    "target",
    [
        b"/a%2Fb/%2e%2e/%zz",
        b"//a//b/../c/./",
        b'/;p=1|"<>\\^`{}',
        b"/?",
        b"/?a=1;b=2&a=%zz&&=",
        b"/\xc3\xa9?\xff",
        b"/?u=http://evil.example/",
    ],
)
def test_target_is_kept_verbatim(target: bytes) -> None:
    head = request(first=b"GET " + target + b" HTTP/1.1")

    assert head.target == target
    assert head.for_upstream(head.target, NOTHING, b"").startswith(b"GET " + target + b" HTTP/1.1")


@pytest.mark.behaviour(1, 2)
@given(st.text(alphabet=[chr(c) for c in range(0x21, 0x7F) if c != 0x23], max_size=60))
def test_any_printable_target_is_kept_verbatim(text: str) -> None:
    target = b"/" + text.encode()

    assert request(first=b"GET " + target + b" HTTP/1.1").target == target


@pytest.mark.behaviour(8)
@pytest.mark.parametrize("method", [b"PROPFIND", b"QUERY", b"FOO-BAR", b"get", b"M!#$%&'*+.^_`|~9"])
def test_any_token_is_a_method(method: bytes) -> None:
    assert request(first=method + b" / HTTP/1.1").method == method


@pytest.mark.behaviour(3, 4, 5, 9)
@pytest.mark.parametrize(
    ("first", "status"),
    [
        (b"CONNECT gw.example:443 HTTP/1.1", 501),
        (b"TRACE / HTTP/1.1", 501),
        (b"GET * HTTP/1.1", 400),
        (b"GET x HTTP/1.1", 400),
        (b"GET gw.example:80 HTTP/1.1", 400),
        (b"GET ftp://gw.example/ HTTP/1.1", 400),
        (b"GET http:///x HTTP/1.1", 400),
        (b"GET http://user@gw.example/ HTTP/1.1", 400),
        (b"GET /a#b HTTP/1.1", 400),
        (b"GET http://gw.example/#b HTTP/1.1", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET /\tHTTP/1.1", 400),
        (b"G(T / HTTP/1.1", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET /", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/1.10", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"GET /" + b"a" * 100 + b" HTTP/1.1", 414),
    ],
)
def test_request_line_is_refused(first: bytes, status: int) -> None:
    assert refused(first + b"\r\nHost: gw.example\r\n\r\n") == status


@pytest.mark.behaviour(5)
def test_options_may_ask_for_the_whole_server() -> None:
    assert request(first=b"OPTIONS * HTTP/1.1").target == b"*"


@pytest.mark.behaviour(3)
@pytest.mark.parametrize(
    ("form", "target", "host"),
    [
        (b"http://other.example:81/p?q=1", b"/p?q=1", b"other.example:81"),
        (b"HTTPS://other.example", b"/", b"other.example"),
        (b"http://other.example?q", b"/?q", b"other.example"),
        (b"http://[::1]:80/", b"/", b"[::1]:80"),
    ],
)
def test_absolute_form_gives_the_host(form: bytes, target: bytes, host: bytes) -> None:
    head = request(first=b"GET " + form + b" HTTP/1.1")

    assert (head.target, head.host) == (target, host)
    assert head.for_upstream(head.target, NOTHING, b"").count(b"Host: ") == 1


def test_path_and_query_are_split_at_the_first_question_mark() -> None:
    head = request(first=b"GET /a?b?c HTTP/1.1")

    assert (head.path, head.query) == (b"/a", b"b?c")


# Host


@pytest.mark.parametrize(
    "host",
    [b"gw", b"gw.example:8000", b"127.0.0.1:1", b"[::1]", b"[::1]:80", b"a_b-c", b"gw.", b""],
)
def test_host_is_taken(host: bytes) -> None:
    assert request(b"Host: " + host, host=False).host == host


@pytest.mark.behaviour(6)
@pytest.mark.parametrize(
    "host",
    [
        b"a b",
        b"a@b",
        b"a/b",
        b"a,b",
        b"a, b",
        b"a:b",
        b"a:1:2",
        b"[::1",
        b"a\\b",
        b"a:123456",
        b"%zz",
    ],
)
def test_host_is_refused(host: bytes) -> None:
    assert refused(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n") == 400


@pytest.mark.behaviour(6)
@pytest.mark.parametrize("lines", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a\r\nhost: b\r\n"])
def test_http_1_1_needs_exactly_one_host(lines: bytes) -> None:
    assert refused(b"GET / HTTP/1.1\r\n" + lines + b"\r\n") == 400


@pytest.mark.behaviour(6)
def test_http_1_0_needs_no_host() -> None:
    assert request(first=b"GET / HTTP/1.0", host=False).host == b""


def test_host_is_refused_beside_an_absolute_form_too() -> None:
    assert refused(b"GET http://a/ HTTP/1.1\r\nHost: a@b\r\n\r\n") == 400


# Field lines


@pytest.mark.behaviour(27, 28)
@pytest.mark.parametrize(
    "line",
    [
        b"No colon",
        b": no name",
        b"Name : value",
        b" Folded: value",
        b"\tFolded",
        b"N(me: value",
        b"N\xe9me: value",
        b"Name: a\x00b",
        b"Name: a\x01b",
        b"Name: a\x7fb",
        b"Name: a\rb",
        b"Name: a\nOther: b",
        b"Name: a\r\n folded",
    ],
)
def test_field_line_is_refused(line: bytes) -> None:
    assert refused(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n") == 400


@pytest.mark.behaviour(27)
def test_bare_line_feeds_end_no_line() -> None:
    assert refused(b"GET / HTTP/1.1\nHost: a\n\n") == 400


@pytest.mark.behaviour(20)
@pytest.mark.parametrize("line", [b"X:", b"X: \xff\x80", b"x-Y_z:  a \t", b"X!#$%&'*+.^`|~: 1"])
def test_field_line_travels_byte_for_byte(line: bytes) -> None:
    sent = request(line).for_upstream(b"/x", NOTHING, b"")

    assert sent == b"GET /x HTTP/1.1\r\nHost: gw.example\r\n" + line + b"\r\n\r\n"


@pytest.mark.behaviour(15)
def test_duplicates_keep_their_order() -> None:
    sent = request(b"A: 1", b"B: 1", b"a: 2", b"A: 1").for_upstream(b"/x", NOTHING, b"")

    assert sent.endswith(b"A: 1\r\nB: 1\r\na: 2\r\nA: 1\r\n\r\n")


@pytest.mark.behaviour(9)
def test_too_many_fields_are_refused() -> None:
    assert refused(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: 1\r\n" * 8 + b"\r\n") == 431


@given(st.binary(max_size=80))
def test_no_head_makes_the_parser_fail_otherwise(noise: bytes) -> None:
    try:
        head = parse_request(
            b"GET / HTTP/1.1\r\nHost: a\r\n" + noise + b"\r\n\r\n", LIMITS, Blocks()
        )
    except BadHead:
        return
    assert head.for_upstream(b"/", NOTHING, b"").endswith(b"\r\n\r\n")


# Framing


@pytest.mark.behaviour(22, 23, 24)
@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
        (b"Content-Length: 5\r\nContent-Length: 5\r\n", 400),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", 400),
        (b"Content-Length: 5, 5\r\n", 400),
        (b"Content-Length: +5\r\n", 400),
        (b"Content-Length: -5\r\n", 400),
        (b"Content-Length: 0x5\r\n", 400),
        (b"Content-Length: 1_0\r\n", 400),
        (b"Content-Length: 010\r\n", 400),
        (b"Content-Length: \r\n", 400),
        (b"Content-Length: 5 5\r\n", 400),
        (b"Content-Length: 9999999999999999999\r\n", 400),
        (b"Transfer-Encoding: ,chunked\r\n", 501),
        (b"Transfer-Encoding: xchunked\r\n", 501),
        (b"Transfer-Encoding: gzip, chunked\r\n", 501),
        (b"Transfer-Encoding: chunked, identity\r\n", 501),
        (b"Transfer-Encoding: identity\r\n", 501),
        (b"Transfer-Encoding: \r\n", 501),
        (b'Transfer-Encoding: "chunked"\r\n', 501),
        (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
    ],
)
def test_framing_is_refused(lines: bytes, status: int) -> None:
    assert refused(b"POST / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n") == status


@pytest.mark.behaviour(25)
def test_http_1_0_has_no_transfer_coding() -> None:
    assert refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400


@pytest.mark.behaviour(35)
@pytest.mark.parametrize("line", [b"Transfer-Encoding: chunked", b"transfer-encoding:\tChunKed "])
def test_chunked_is_known_in_any_case(line: bytes) -> None:
    head = request(line)

    assert head.chunked
    assert head.length is None
    assert head.for_upstream(b"/", NOTHING, b"").endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")


@pytest.mark.behaviour(35)
def test_length_stays_a_length() -> None:
    head = request(b"Content-Length: 5")

    assert (head.length, head.chunked, head.has_body) == (5, False, True)
    assert b"\r\nContent-Length: 5\r\n" in head.for_upstream(b"/", NOTHING, b"")


@pytest.mark.behaviour(16, 35)
def test_bodyless_stays_bodyless() -> None:
    sent = request().for_upstream(b"/x", NOTHING, b"")

    assert sent == b"GET /x HTTP/1.1\r\nHost: gw.example\r\n\r\n"


# Connection, and what travels no further


@pytest.mark.behaviour(11)
@pytest.mark.parametrize(
    "line",
    [
        b"Connection: keep-alive",
        b"Proxy-Connection: keep-alive",
        b"Keep-Alive: timeout=5",
        b"TE: gzip",
        b"Trailer: X",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
        b"Proxy-Authorization: Basic eA==",
        b"proxy-authenticate: Basic",
    ],
)
def test_hop_by_hop_field_stays_here(line: bytes) -> None:
    sent = request(line).for_upstream(b"/x", NOTHING, b"")
    given_on = response(line).for_client(b"")

    assert sent == b"GET /x HTTP/1.1\r\nHost: gw.example\r\n\r\n"
    assert given_on == b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.behaviour(12)
def test_fields_that_connection_names_stay_here() -> None:
    lines = (b"Connection: ", b"A: 1", b"connection: a , close", b"B: 2", b"Connection: b", b"C: 3")

    assert request(*lines).for_upstream(b"/", NOTHING, b"").endswith(b"example\r\nC: 3\r\n\r\n")
    assert response(*lines).for_client(b"") == b"HTTP/1.1 200 OK\r\nC: 3\r\n\r\n"


@pytest.mark.behaviour(12)
@pytest.mark.parametrize("name", [b"content-length", b"host", b"transfer-encoding"])
def test_connection_cannot_name_the_framing_away(name: bytes) -> None:
    sent = request(b"Connection: " + name, b"Content-Length: 5").for_upstream(b"/", NOTHING, b"")

    assert sent.count(b"Content-Length: 5\r\n") == 1
    assert sent.count(b"Host: gw.example\r\n") == 1


@pytest.mark.behaviour(12)
def test_what_is_added_cannot_be_named_away() -> None:
    head = request(b"Connection: x-forwarded-for", b"X-Forwarded-For: spoofed")

    sent = head.for_upstream(b"/x", frozenset((b"x-forwarded-for",)), b"X-Forwarded-For: 1\r\n")

    assert sent == b"GET /x HTTP/1.1\r\nHost: gw.example\r\nX-Forwarded-For: 1\r\n\r\n"


@pytest.mark.behaviour(18)
def test_an_underscore_hides_no_field() -> None:
    head = request(b"X_Forwarded-For: spoofed", b"x_y: kept")

    sent = head.for_upstream(b"/x", frozenset((b"x-forwarded-for",)), b"")

    assert sent == b"GET /x HTTP/1.1\r\nHost: gw.example\r\nx_y: kept\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "lines", "keeps"),
    [
        (b"GET / HTTP/1.1", (), True),
        (b"GET / HTTP/1.1", (b"Connection: x, Close",), False),
        (b"GET / HTTP/1.0", (), False),
        (b"GET / HTTP/1.0", (b"Connection: Keep-Alive",), True),
        (b"GET / HTTP/1.0", (b"Connection: keep-alive, close",), False),
    ],
)
def test_keep_alive_follows_the_version(
    first: bytes, lines: tuple[bytes, ...], keeps: bool
) -> None:
    assert request(*lines, first=first).keep_alive is keeps


# Upgrades

UPGRADE = (b"Connection: keep-alive, Upgrade", b"Upgrade: WebSocket")
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


def test_websocket_upgrade_is_sent_on() -> None:
    head = request(*UPGRADE, KEY, b"Origin: http://gw.example")

    assert head.upgrade
    assert head.for_upstream(b"/x", NOTHING, b"") == (
        b"GET /x HTTP/1.1\r\nHost: gw.example\r\n" + KEY + b"\r\n"
        b"Origin: http://gw.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )


@pytest.mark.behaviour(33)
@pytest.mark.parametrize(
    ("first", "lines"),
    [
        (b"GET / HTTP/1.1", (b"Connection: Upgrade", b"Upgrade: h2c")),
        (b"GET / HTTP/1.1", (b"Connection: Upgrade", b"Upgrade: websocket, h2c")),
        (b"GET / HTTP/1.1", (b"Connection: Upgrade",)),
        (b"GET / HTTP/1.1", (b"Upgrade: websocket",)),
        (b"POST / HTTP/1.1", UPGRADE),
        (b"GET / HTTP/1.0", UPGRADE),
        (b"GET / HTTP/1.1", (*UPGRADE, b"Content-Length: 1")),
    ],
)
def test_any_other_upgrade_is_ignored(first: bytes, lines: tuple[bytes, ...]) -> None:
    head = request(*lines, first=first)

    assert not head.upgrade
    assert b"pgrade" not in head.for_upstream(b"/", NOTHING, b"")


@pytest.mark.parametrize(
    "te", [(b"TE: trailers",), (b"te: gzip;q=0.5 , Trailers",), (b"TE: gzip", b"TE: trailers")]
)
def test_wish_for_trailers_is_passed_on_alone(te: tuple[bytes, ...]) -> None:
    head = request(*te, b"Connection: TE")

    assert head.for_upstream(b"/x", NOTHING, b"") == (
        b"GET /x HTTP/1.1\r\nHost: gw.example\r\nConnection: TE\r\nTE: trailers\r\n\r\n"
    )


@pytest.mark.behaviour(14)
@pytest.mark.parametrize(
    ("first", "lines"),
    [
        (b"GET / HTTP/1.0", (b"TE: trailers",)),
        (b"GET / HTTP/1.1", (b"TE: trailers;q=0",)),
        (b"GET / HTTP/1.1", (b"TE: trailers", *UPGRADE, KEY)),
    ],
)
def test_trailers_are_wished_for_only_where_they_can_come(
    first: bytes, lines: tuple[bytes, ...]
) -> None:
    assert b"railers" not in request(*lines, first=first).for_upstream(b"/", NOTHING, b"")


@pytest.mark.parametrize(
    "keys",
    [
        (),
        (b"Sec-WebSocket-Key:",),
        (b"Sec-WebSocket-Key: k",),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ",),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=",),
        (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ*==",),
        (KEY, KEY),
    ],
)
def test_websocket_handshake_without_a_key_is_refused(keys: tuple[bytes, ...]) -> None:
    lines = (b"GET / HTTP/1.1", b"Host: a", *UPGRADE, *keys, b"", b"")

    assert refused(b"\r\n".join(lines)) == 400


# Responses
