"""Valid exchanges to try: what a client sends, what an upstream answers, and how both are cut.

Everything that HTTP/1.1 allows and a relay may meet, in odd spellings. It knows no gateway.
"""

import itertools
from dataclasses import dataclass

from hypothesis import strategies as st

from tests.gateway.wire.properties.heads import TOKEN, VALUE, of

# Names with a meaning of their own are drawn on purpose or not at all.
_MEANT = frozenset(
    b"host connection content-length transfer-encoding upgrade expect te trailer keep-alive "
    b"proxy-connection set-cookie date".split()
)


@dataclass(frozen=True, slots=True)
class Exchange:
    """`target` and `host` are what must arrive; `closes`: the upstream ends behind its answer."""

    method: bytes
    target: bytes
    host: bytes
    minor: int
    request: bytes
    answer: bytes
    closes: bool
    cuts: tuple[int, ...]


def cut(sent: bytes, cuts: tuple[int, ...]) -> list[bytes]:
    places = sorted({place % (len(sent) + 1) for place in cuts} | {0, len(sent)})
    return [sent[a:b] for a, b in itertools.pairwise(places)]


# Somewhere, or byte by byte: a cut in the middle of a line's end is hit by chance too seldom.
segments = st.one_of(
    st.lists(st.integers(0, 1 << 20), max_size=8).map(tuple),
    st.integers(1, 3).map(lambda step: tuple(range(0, 400, step))),
)

_names = of(TOKEN, 1, 8).filter(lambda name: name.lower() not in _MEANT)
_lines = st.tuples(_names, st.sampled_from([b":", b": ", b":\t "]), of(VALUE, 0, 20)).map(b"".join)
_sets = st.one_of(
    st.lists(_lines, max_size=4),
    st.lists(_lines, max_size=2).map(lambda lines: lines * 2),
    st.sampled_from(
        [
            [b"Connection: X-Hop , ,x_y", b"x-hop: 1", b"X_Y: 2", b"X-Kept: 3"],
            [b"connection:", b"CONNECTION: x", b"X: 1", b"Keep-Alive: timeout=5"],
            [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAA"],
            [b"Connection: Content-Length", b"Proxy-Connection: keep-alive", b"TE: gzip;q=1"],
            [b"Cookie: a=1; b=\x80", b"cookie: c", b"Cookie:"],
        ]
    ),
)
_payloads = st.one_of(st.binary(max_size=40), st.just(b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n" * 4000))
_sizes = st.sampled_from([b"%x", b"%X", b"%04x"])
_length_names = st.sampled_from([b"Content-Length: ", b"content-LENGTH:"])
_codings = st.sampled_from([b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked "])
_extensions = st.sampled_from([b"", b"", b";a=b", b' ; q="x;y"', b";"])
_trailers = st.sampled_from([b"", b"", b"X-Trailer: 1\r\nHost: evil\r\n"])


@st.composite
def _chunked(draw: st.DrawFn) -> bytes:
    body = b""
    for chunk in draw(st.lists(_payloads.filter(bool), max_size=4)):
        body += draw(_sizes) % len(chunk) + draw(_extensions) + b"\r\n" + chunk + b"\r\n"
    return body + b"0" + draw(_extensions) + b"\r\n" + draw(_trailers) + b"\r\n"


@st.composite
def _framed(draw: st.DrawFn, *framings: str) -> tuple[list[bytes], bytes]:
    """Lines that frame a body, and the body on the wire."""
    match draw(st.sampled_from(framings)):
        case "length":
            body = draw(_payloads)
            return [draw(_length_names) + b"%d " % len(body)], body
        case "chunked":
            return [draw(_codings)], draw(_chunked())
        case "close":
            return [], draw(_payloads)
    return [], b""


@st.composite
def _head(draw: st.DrawFn, first: bytes, *lines: bytes) -> bytes:
    mixed = draw(st.permutations([*lines, *draw(_sets)]))
    return b"".join(line + b"\r\n" for line in (first, *mixed)) + b"\r\n"


_hosts = st.sampled_from([b"h.example", b"[::1]:80", b"H"])
# As they are sent, as they must arrive, and which host then counts (RFC 9112 §3.2.2).
_targets = st.one_of(
    st.sampled_from(
        [
            (b"*", b"*", b""),
            (b"http://Other.example:81/p?q", b"/p?q", b"Other.example:81"),
            (b"https://o?q", b"/?q", b"o"),
            (b"HTTP://o", b"/", b"o"),
            (b"//a/../b;p=1?x?", b"//a/../b;p=1?x?", b""),
        ]
    ),
    of(VALUE.translate(None, b"\t #"), 0, 20).map(lambda rest: (b"/" + rest, b"/" + rest, b"")),
)
_methods = st.sampled_from(b"GET GET HEAD POST PUT DELETE OPTIONS PATCH QUERY FOO-BAR get".split())
_finals = st.sampled_from([b"200", b"201", b"204", b"206", b"304", b"404", b"500", b"599", b"999"])
_reasons = of(VALUE, 0, 8).map(lambda words: b" " + words)


@st.composite
def _answer(draw: st.DrawFn, method: bytes) -> tuple[bytes, bool]:
    """An answer with the interim ones before it, and whether its connection ends behind it."""
    answer = b""
    for status in draw(st.lists(st.sampled_from([b"100", b"102", b"103"]), max_size=2)):
        answer += draw(_head(b"HTTP/1.1 " + status + draw(_reasons)))
    status = draw(_finals)
    minor = draw(st.sampled_from([1, 1, 1, 0]))
    bodyless = method == b"HEAD" or status in (b"204", b"304")
    lines, body = draw(_framed("length", *["chunked"] * minor, "none" if bodyless else "close"))
    closes = minor == 0 or (not lines and not bodyless) or draw(st.booleans())
    connection = [b"Connection: close"] if closes and minor else []
    first = b"HTTP/1.%d " % minor + status + draw(_reasons)
    answer += draw(_head(first, *lines, *connection))
    return answer + (b"" if bodyless else body), closes


@st.composite
def exchanges(draw: st.DrawFn, *, last: bool) -> Exchange:
    """One exchange; the `last` of a connection may be one that ends it."""
    minor = draw(st.sampled_from([1, 1, 0])) if last else 1
    sent, target, authority = draw(_targets)
    method = b"OPTIONS" if target == b"*" else draw(_methods)
    host = draw(_hosts)
    lines, body = draw(_framed("none", "length", *["chunked"] * minor))
    lines.append(draw(st.sampled_from([b"Host: ", b"hOST:"])) + host)
    if last and draw(st.booleans()):
        lines.append(b"Connection: close")
    request = draw(_head(b"%b %b HTTP/1.%d" % (method, sent, minor), *lines)) + body
    answer, closes = draw(_answer(method))
    return Exchange(
        method, target, authority or host, minor, request, answer, closes, draw(segments)
    )


pipelines = st.tuples(st.lists(exchanges(last=False), max_size=3), exchanges(last=True)).map(
    lambda drawn: [*drawn[0], drawn[1]]
)
