"""Behaviours 1 to 10: the request line and the host, as they arrive and as they are refused."""

import pytest

from tests.support.exchange import OK, answered, forwarded, refusal
from tests.support.front import Gateway
from tests.support.wire import ask, client, plays, relaying

HANDSHAKE = (
    b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
STRANGE_TARGETS = [
    b"/a%2Fb/%2e%2e/%00/%zz/%",
    b"//a//b",
    b"/a/../b/./c/..",
    b"/;p=1/b;q",
    b'/|"<>\\^`{}',
    b"/%40a@b",
    b"/a%23b%3Fc%3Dd",
    b"/\xc3\xa9\xff",
    b"/:80//x@y/",
]
STRANGE_QUERIES = [
    b"",
    b"a=1;b=2",
    b"%zz&%&%00",
    b"b=2&a=1&b=3&b=2",
    b"&&=&a&",
    b"a+b=%2B%20+",
    b"u=http://evil.example/?x",
    b"?a??",
    b'[]|"<>\\^`{}/../',
]


@pytest.mark.behaviour(1)
@pytest.mark.parametrize("target", STRANGE_TARGETS)
async def test_path_arrives_byte_for_byte(target: bytes) -> None:
    sent = await forwarded(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    assert sent == b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.behaviour(1, 2)
async def test_path_and_query_of_a_handshake_arrive_byte_for_byte() -> None:
    target = b"/a%2Fb/../%zz//;p|?x=1;y=%zz&x"
    sent = await forwarded(HANDSHAKE % (target, b"a"))

    assert sent.startswith(b"GET " + target + b" HTTP/1.1\r\n")


@pytest.mark.behaviour(1, 2)
async def test_whole_gateway_passes_path_and_query_byte_for_byte(gw: Gateway) -> None:
    target = "//a%2Fb/../%zz/;p|?b=2;c&b=%zz&&=&a"
    status, _, _ = await gw.ask(target)

    assert status == 200
    assert gw.container.heads[0].startswith(f"GET {target} HTTP/1.1\r\n".encode())


@pytest.mark.behaviour(2)
@pytest.mark.parametrize("query", STRANGE_QUERIES)
async def test_query_arrives_byte_for_byte(query: bytes) -> None:
    sent = await forwarded(b"GET /?" + query + b" HTTP/1.1\r\nHost: a\r\n\r\n")

    assert sent.startswith(b"GET /?" + query + b" HTTP/1.1\r\n")


@pytest.mark.behaviour(3)
@pytest.mark.parametrize(
    ("form", "target", "host"),
    [
        (b"http://other.example:81/p?q=1", b"/p?q=1", b"other.example:81"),
        (b"https://other.example", b"/", b"other.example"),
        (b"HTTP://other.example?q=%2F", b"/?q=%2F", b"other.example"),
        (b"http://127.0.0.1:1//a/../b", b"//a/../b", b"127.0.0.1:1"),
        (b"http://[::1]:80/x", b"/x", b"[::1]:80"),
    ],
)
async def test_authority_of_an_absolute_form_replaces_host_and_chooses_no_upstream(
    form: bytes, target: bytes, host: bytes
) -> None:
    sent = await forwarded(b"GET " + form + b" HTTP/1.1\r\nHost: gw.example\r\n\r\n")

    assert sent == b"GET " + target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


@pytest.mark.behaviour(3)
@pytest.mark.parametrize(
    "form",
    [
        b"http://user@other.example/",
        b"http://other.example@evil.example/",
        b"http:///x",
        b"http:/x",
        b"ftp://other.example/",
        b"http://other.example/#x",
        b"http://other.example\\@evil.example/",
        b"other.example:80",
        b"other.example/x",
    ],
)
async def test_any_other_form_of_target_is_refused(form: bytes) -> None:
    got = await refusal(b"GET " + form + b" HTTP/1.1\r\nHost: gw.example\r\n\r\n")

    assert got.startswith(b"HTTP/1.1 400 ")


@pytest.mark.behaviour(3)
async def test_absolute_form_still_leads_to_the_sessions_own_container(gw: Gateway) -> None:
    _, headers, body = await gw.ask(f"http://127.0.0.1:{gw.shared.port}/x")

    assert (headers["x-opencode-gateway-route"], body) == ("session", b'"container"')
    assert gw.shared.heads == []
    assert gw.container.heads[0].startswith(
        b"GET /x HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % gw.shared.port
    )


@pytest.mark.behaviour(4)
@pytest.mark.parametrize(
    "first",
    [
        b"CONNECT gw.example:443 HTTP/1.1",
        b"CONNECT / HTTP/1.1",
        b"TRACE / HTTP/1.1",
        b"TRACE http://gw.example/ HTTP/1.1",
    ],
)
async def test_connect_and_trace_are_refused_and_echo_nothing(first: bytes) -> None:
    got = await refusal(first + b"\r\nHost: gw.example\r\nCookie: canary\r\n\r\n")

    assert got.startswith(b"HTTP/1.1 501 ")
    assert b"canary" not in got


@pytest.mark.behaviour(5)
async def test_options_of_the_whole_server_is_passed_on() -> None:
    sent = await forwarded(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")

    assert sent == b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.behaviour(5)
@pytest.mark.parametrize("first", [b"GET *", b"POST *", b"HEAD *", b"OPTIONS **", b"OPTIONS *x"])
async def test_nothing_else_may_ask_for_the_whole_server(first: bytes) -> None:
    assert (await refusal(first + b" HTTP/1.1\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@pytest.mark.behaviour(6)
@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"Host: a\r\nHost: a\r\n",
        b"Host: a\r\nX: 1\r\nhOST: b\r\n",
        b"Host: a, b\r\n",
        b"Host: a,a\r\n",
        b"Host: user@a\r\n",
        b"Host: user:pass@a\r\n",
        b"Host: a/path\r\n",
        b"Host: a?q\r\n",
        b"Host: a#f\r\n",
        b"Host: http://a\r\n",
        b"Host: a b\r\n",
        b"Host: a b/@c\r\n",
        b"Host: a:port\r\n",
        b"Host: a:80:80\r\n",
        b"Host: a:-1\r\n",
        b"Host: [::1\r\n",
        b"Host: ::1\r\n",
        b"Host: [::1]x\r\n",
        b"Host: a\\b\r\n",
        b"Host: %zz\r\n",
        b"Host: a\x7f\r\n",
        b"Host : a\r\n",
    ],
)
async def test_host_that_is_missing_doubled_or_malformed_is_refused(lines: bytes) -> None:
    got = await refusal(b"GET / HTTP/1.1\r\n" + lines + b"\r\n")

    assert got.startswith(b"HTTP/1.1 400 ")


@pytest.mark.behaviour(7)
async def test_host_of_the_client_is_kept_alike_for_requests_and_handshakes(gw: Gateway) -> None:
    gw.container.answer = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    host = b"Some.Other:8080"
    cookie = f"\r\nCookie: {gw.cookie}".encode()
    await ask(gw.port, b"GET / HTTP/1.0\r\nHost: " + host + cookie + b"\r\n\r\n")
    async with client(gw.port) as (reader, writer):
        writer.write(HANDSHAKE % (b"/", host + cookie))
        await reader.head()

    plain, upgrade = gw.container.heads
    assert b"\r\nHost: Some.Other:8080\r\n" in plain
    assert b"\r\nX-Forwarded-Host: Some.Other:8080\r\n" in plain
    assert b"\r\nUpgrade: websocket\r\n" in upgrade
    assert b"\r\nHost: Some.Other:8080\r\n" in upgrade
    assert b"\r\nX-Forwarded-Host: Some.Other:8080\r\n" in upgrade


@pytest.mark.behaviour(8)
@pytest.mark.parametrize(
    "method", [b"PROPFIND", b"QUERY", b"PATCH", b"FOO-BAR", b"get", b"Post", b"M!#$%&'*+.^_`|~9"]
)
async def test_method_of_any_name_arrives_in_its_own_case(method: bytes) -> None:
    sent = await forwarded(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")

    assert sent == method + b" / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.behaviour(8)
@pytest.mark.parametrize("method", [b"G(T", b"GET,POST", b"", b"G\xe9T", b"GET\t", b'"GET"'])
async def test_method_that_is_no_token_is_refused(method: bytes) -> None:
    got = await refusal(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n")

    assert got.startswith(b"HTTP/1.1 400 ")


@pytest.mark.behaviour(9)
@pytest.mark.parametrize(
    ("endless", "status"),
    [
        (b"a", 414),
        (b" HTTP/1.1\r\nHost: a\r\nX: a", 431),
        (b" HTTP/1.1\r\nHost: a\r\nX", 431),
        (b" HTTP/1.1\r\nHost: a\r\n", 431),
    ],
)
async def test_head_without_end_is_refused_while_it_still_comes(
    endless: bytes, status: int
) -> None:
    more = b"A: 1\r\n" if endless.endswith(b"\n") else b"a"
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        writer.write(b"GET /" + endless + more * (900_000 // len(more)))

        assert (await reader.head()).startswith(b"HTTP/1.1 %d " % status)
        assert len(served.connection._heads.held) <= served.wiring.limits.head_bytes
        assert served.raw.connections == 0


@pytest.mark.behaviour(9)
async def test_more_headers_than_may_be_are_refused_before_they_are_read() -> None:
    lines = b"A: 1\r\n" * 200
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")

        assert (await reader.head()).startswith(b"HTTP/1.1 431 ")
        assert served.raw.connections == 0


@pytest.mark.behaviour(10)
@pytest.mark.parametrize(
    ("connection", "stays"),
    [(b"", False), (b"Connection: Keep-Alive\r\n", True), (b"Connection: x\r\n", False)],
)
async def test_http_1_0_client_keeps_its_connection_only_where_it_asks(
    connection: bytes, stays: bool
) -> None:
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        writer.write(b"GET / HTTP/1.0\r\n" + connection + b"\r\n")
        head = await reader.head()
        await reader.exactly(2)

        assert (b"\r\nConnection: keep-alive\r\n" in head) is stays
        assert (b"\r\nConnection: close\r\n" in head) is not stays
        if not stays:
            assert await reader.rest() == b""


@pytest.mark.behaviour(10)
async def test_http_1_0_client_gets_no_interim_answer_and_no_chunk() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    got = await answered(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + chunked,
        b"GET / HTTP/1.0\r\n\r\n",
    )

    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"ransfer-" not in got
    assert got.endswith(b"\r\n\r\nok")
