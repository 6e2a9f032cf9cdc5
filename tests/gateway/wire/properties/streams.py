"""Streams of bytes to try on a connection: messages, near misses of messages, and anything.

A smuggled message stands in bodies and behind heads, where a wrong end would let it out.
"""

from hypothesis import strategies as st

from tests.gateway.wire.properties import heads
from tests.gateway.wire.properties.exchanges import pipelines

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n"
FORGED = b"HTTP/1.1 200 Forged\r\nContent-Length: 6\r\n\r\nforged"

_ODD_CHUNKS = st.sampled_from(
    [
        b"0\r\n\r\n", b"3\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n", b"3;x=\"\r\"\r\nabc\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n", b"3\r\nabc0\r\n\r\n", b"3\r\nabcd\r\n0\r\n\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n", b" 3\r\nabc\r\n0\r\n\r\n", b"3 \r\nabc\r\n00\r\nA: 1\r\n\r\n",
        b"g\r\n", b"\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"0\r\nHost : x\r\n\r\n", b"0\r\n\r",
        b"0\r\nA: \x00\r\n\r\n", b"0;\r\n\r\n", b"3;a\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"3_0\r\n",
        b"0\r\n A: 1\r\n\r\n", b"3\r\n\r\n\r\r\n0\r\n\r\n", b"0\r\n\n", b"\xb3\r\nabc\r\n0\r\n\r\n",
    ]
)  # fmt: skip
_ANY = st.one_of(
    st.binary(max_size=20),
    _ODD_CHUNKS,
    st.sampled_from([b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"abc", b"0" * 5000, b"\x16\x03\x01\x02"]),
)
_CHUNKED_REQUEST = b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNKED_ANSWER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_CUT_OFF = st.sampled_from(
    [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", _CHUNKED_ANSWER + b"3\r\na"]
)

_of_client = st.one_of(
    pipelines.map(lambda exchanges: b"".join(exchange.request for exchange in exchanges)),
    st.tuples(heads.requests(), _ANY).map(b"".join),
    *[_ODD_CHUNKS.map(lambda body: _CHUNKED_REQUEST + body)] * 2,
    _ANY,
)
_of_upstream = st.one_of(
    pipelines.map(lambda exchanges: exchanges[0].answer),
    st.tuples(heads.responses(), _ANY).map(b"".join),
    *[_ODD_CHUNKS.map(lambda body: _CHUNKED_ANSWER + body)] * 2,
    _CUT_OFF,
    st.tuples(heads.interims(), heads.responses()).map(b"".join),
    _ANY,
)


@st.composite
def _stream(draw: st.DrawFn, parts: st.SearchStrategy[bytes], hidden: bytes) -> bytes:
    stream = b"".join(draw(st.lists(parts, min_size=1, max_size=3)))
    if draw(st.booleans()):
        stream = heads.spoilt(draw, stream)
    return stream + draw(st.sampled_from([b"", hidden]))


of_client = _stream(_of_client, SMUGGLED)
of_upstream = _stream(_of_upstream, FORGED).filter(bool)
bodies = st.tuples(_ODD_CHUNKS, st.one_of(_ODD_CHUNKS, _ANY)).map(b"".join)
