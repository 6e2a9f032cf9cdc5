"""Heads to try: valid ones, and ones that miss the grammar in one place.

The place is drawn first, so that each rule is met alone: a head with two faults is refused for
either, and tells nothing about the other. Two parsers disagree at the edge, if anywhere.
"""

from hypothesis import strategies as st

TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
VALUE = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])

Pieces = st.SearchStrategy[bytes]


def of(alphabet: bytes, least: int, most: int) -> Pieces:
    """Bytes of an alphabet; by a table, since drawing them one by one takes ten times as long."""
    table = bytes(alphabet[i % len(alphabet)] for i in range(256))
    return st.binary(min_size=least, max_size=most).map(lambda drawn: drawn.translate(table))


def _any(*pieces: bytes) -> Pieces:
    return st.sampled_from(pieces)


def _split(pieces: bytes) -> Pieces:
    return st.sampled_from(pieces.split(b"|"))


# Each part as it should be, and as it should not.
_METHODS = _split(b"GET|POST|PUT|HEAD|DELETE|OPTIONS|PATCH|QUERY|PROPFIND")
_ODD_METHODS = _split(
    b"FOO-BAR|get|CONNECT|TRACE|G@T||GET\t| GET|PRI|\xc7|\r\nGET|GET /x HTTP/1.1\r"
)
_TARGETS = _split(
    b'/|/a/b?c=d&c=%zz|//a/../b;p=1|/%2F%00?|/?a=[1]"<>\\^`{}|/a//b/./|/?' + b"q" * 99
)
_ODD_TARGETS = _split(
    b"*|/\x80\xff|/#f|/?q#f|/ a|a|?q||/\x00|/\x7f|/\t|/\x0b|/\r|h:80|http://other/p?q|HTTPS://[::1]:9"
    b"|http://u@h/|http://|http://h:99999/|http://h#/|//h|/a HTTP/1.1"
)
_ODD_GAPS = _any(b"  ", b"\t", b"\x0b", b"\x0c", b"\xa0", b"", b"\r", b"\n")
_ODD_VERSIONS = _split(
    b"HTTP/1.0|HTTP/1.2|HTTP/2.0|http/1.1|HTTP/1.1 |HTTP/01.1||HTTP/1|HTTP/1.1\t|HTTP/1.10"
)
_ENDS = _any(b"\n", b"\r", b"\r\r\n", b"\r\n ", b"\r\n\t", b"", b"\n\r\n", b"\r\n\r\n", b"\x85\r\n")
_HOSTS = _any(b"Host: h.example\r\n", b"host:h:8000 \r\n", b"HOST: [::1]:80\r\n")
_ODD_HOSTS = _any(
    b"", b"Host:\r\n", b"Host: a\r\nHost: a\r\n", b"Host: a,b\r\n", b"Host: \x80\r\n",
    b"Host: u@h\r\n", b"Host: a/b\r\n", b"Host: a b\r\n", b"Host : a\r\n", b"Host\t: a\r\n",
    b" Host: a\r\n",
)  # fmt: skip
_FRAMINGS = _any(
    b"", b"", b"Content-Length: 3\r\n", b"CONTENT-length:0 \r\n", b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding:\tChunked \r\n",
)  # fmt: skip
_LENGTHS = _split(
    b"03|+3|-3|3,3|3, 3|3 3|0x3|3\x0c|\x0b3|3;|3.0|1_0||9999999999999999999|\xb3|3\r\n 4|3\x00|'3'"
)
_CODINGS = _split(
    b"gzip, chunked|chunked, chunked|,chunked|chunked,|identity|\x0bchunked|chunked;q=1|chunked\x00"
    b"|xchunked|chunke|'chunked'|chunked, gzip||\xa0chunked|chunked\r\n , gzip|identity, chunked"
)
_ODD_FRAMINGS = st.one_of(
    _LENGTHS.map(lambda value: b"Content-Length: %b\r\n" % value),
    _CODINGS.map(lambda value: b"Transfer-Encoding: %b\r\n" % value),
    _any(
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 3\r\nContent-Length: 3\r\n",
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        b"Content_Length: 3\r\n",
        b"Content-Length : 3\r\n",
        b"Content-Length\x00: 3\r\n",
        b"\xc3Content-Length: 3\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding\r\n: chunked\r\n",
        b"X: 1\r\n Transfer-Encoding: chunked\r\n",
        b"X: 1\rContent-Length: 3\r\n",
        b"X: 1\nContent-Length: 3\r\n",
        b"X\r\nContent-Length: 3\r\n",
    ),
)
_FIELDS = st.one_of(
    st.tuples(of(TOKEN, 1, 8), _any(b": ", b":", b":\t"), of(VALUE, 0, 12)).map(b"".join),
    _split(
        b"Connection: close|Connection: keep-alive|connection: Upgrade|Connection: content-length|"
        b"Connection: transfer-encoding, host|Connection: X-Forwarded-For, ,te|Connection:|"
        b"Proxy-Connection: keep-alive|Keep-Alive: timeout=5|Upgrade: websocket|Upgrade: h2c|"
        b"TE: trailers|TE: chunked|Trailer: Host|Expect: 100-continue|Cookie: a=b|cookie: c|"
        b"Set-Cookie: a=b; Path=/|Content-Encoding: gzip|X_Forwarded_For: 1|HTTP2-Settings: AAA|"
        b"Transfer-Encoding2: chunked|X-Content-Length: 9"
    ),
).map(lambda line: line + b"\r\n")
_ODD_FIELDS = _split(
    b"A\r\n|A : 1\r\n|A B: 1\r\n|: 1\r\n|\xc3: 1\r\n|A(: 1\r\n|A\x00: 1\r\n|A: \x00\r\n|A: \x01\r\n"
    b"|A: a\rb\r\n|A: a\nb: c\r\n|A: \x7f\r\n|A: 1\r\n folded\r\n| A: 1\r\n|A:: 1\r\n|A: 1\n|A: 1\r"
    b'|A@: 1\r\n|A[]: 1\r\n|"A": 1\r\n|A/: 1\r\n|A=: 1\r\n|A\x0b: 1\r\n|A: \x0b\r\n|A: 1\r\n\r\n'
)
_STATUSES = _split(b"200|404|201|204|304|500|599|103|205")
_ODD_STATUSES = _split(b"100|101|999|099|20|2000|+20|2 0||0x2|2\xb20|200\t|-200|600")
_REASONS = _split(b" OK| Not Found| | \xe9\x80| a\tb|  two|")
_ODD_REASONS = _split(b"\tOK| a\x00| a\rb| a\nb|\x0bOK| \x7f| OK\r|OK| \x1b[0m")

# Bytes to put anywhere: what parsers are undecided about.
_EDGES = [bytes([b]) for b in b'\r\n\t\x00\x0b\x0c\x7f\x80\xa0\xff :;,#"(){}[]\\/@_-=0']
_EDGES += [b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\n ", b" :", b"\r\nA: 1"]


@st.composite
def _block(draw: st.DrawFn, odd: str, *always: bytes) -> bytes:
    """Field lines in any order, one of them odd if that is what was drawn."""
    framing = draw(_ODD_FRAMINGS if odd == "framing" else _FRAMINGS)
    lines = [*always, framing, *draw(st.lists(_FIELDS, max_size=3))]
    if odd == "field":
        lines.append(draw(_ODD_FIELDS))
    return b"".join(draw(st.permutations(lines)))


def spoilt(draw: st.DrawFn, head: bytes) -> bytes:
    """A head with one or two places changed: a byte gone, come, replaced, or a piece repeated."""
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(head)))
        to = min(len(head), at + draw(st.integers(0, 3)))
        head = head[:at] + draw(st.sampled_from([*_EDGES, b"", head[at:to] * 2])) + head[to:]
    return head


_REQUEST_PARTS = ["method", "gap", "target", "version", "end", "host", "framing", "field", "bytes"]


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    odd = draw(st.sampled_from(["", "", "", *_REQUEST_PARTS]))
    method = draw(_ODD_METHODS if odd == "method" else _METHODS)
    target = draw(_ODD_TARGETS if odd == "target" else _TARGETS)
    gap = draw(_ODD_GAPS if odd == "gap" else _any(b" "))
    version = draw(_ODD_VERSIONS if odd == "version" else _any(b"HTTP/1.1"))
    end = draw(_ENDS if odd == "end" else _any(b"\r\n"))
    block = draw(_block(odd, draw(_ODD_HOSTS if odd == "host" else _HOSTS)))
    head = b"".join((method, b" ", target, gap, version, end, block, b"\r\n"))
    return spoilt(draw, head) if odd == "bytes" else head


@st.composite
def responses(draw: st.DrawFn, statuses: Pieces = _STATUSES) -> bytes:
    odd = draw(
        st.sampled_from(["", "", "gap", "status", "reason", "end", "framing", "field", "bytes"])
    )
    version = draw(_any(b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"))
    gap = draw(_ODD_GAPS if odd == "gap" else _any(b" "))
    status = draw(_ODD_STATUSES if odd == "status" else statuses)
    reason = draw(_ODD_REASONS if odd == "reason" else _REASONS)
    end = draw(_ENDS if odd == "end" else _any(b"\r\n"))
    head = b"".join((version, gap, status, reason, end, draw(_block(odd)), b"\r\n"))
    return spoilt(draw, head) if odd == "bytes" else head


def interims() -> Pieces:
    return responses(_any(b"100", b"102", b"103", b"199"))
