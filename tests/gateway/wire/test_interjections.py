"""Events of ours within an upstream's event stream: never inside an event or a chunk of it."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.door import Answer, Client, Outcome, Relay
from gateway.wire.framing import Chunked
from gateway.wire.relay import Exchange
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from gateway.wire.talk import ClientSide
from gateway.wire.upstream import Pool
from tests.gateway.wire.properties.effort import PURE
from tests.gateway.wire.properties.exchanges import cut, segments

OURS = b"data: ours\n\n"
GREETING = b"data: greeting\n\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
IN_CHUNKS, TO_THE_END = HEAD + b"Transfer-Encoding: chunked\r\n\r\n", HEAD + b"\r\n"
ONE = b"data: 1\n\n"
NEW, OLD = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n"

_EVENTS = (
    b"data: 1\n\n", b": note\n\n", b"data: a\ndata: b\n\n", b"data: c\r\n\r\n", b"\n", b"\r\n",
    b"data: d\r\n\n",
)  # fmt: skip
events = st.lists(st.sampled_from(_EVENTS), max_size=6)


class FakeClient:
    """What an exchange needs of a client's connection; it keeps what it is written."""

    def __init__(self) -> None:
        self.clogged = False
        self.draining = False
        self.deadline: float | None = None
        self.written = b""
        self.ended: list[str] = []

    def write(self, data: bytes) -> None:
        self.written += data

    def hold_reading(self, held: bool) -> None: ...

    def finished(self, keep_alive: bool) -> None:
        self.ended.append("finished")

    def truncated(self, abort: bool) -> None:
        self.ended.append("truncated")

    @property
    def body(self) -> bytes:
        return self.written.partition(b"\r\n\r\n")[2]


class FakeConnection:
    """An idle connection that takes everything, in a pool of its own."""

    name = "fake"
    used = False

    def take(self) -> "FakeConnection":
        return self

    @property
    def transport(self) -> "FakeConnection":
        return self

    def serve(self, receiver: object) -> None: ...

    def write(self, data: bytes) -> None: ...

    def give_back(self) -> None: ...

    def abort(self) -> None: ...


def begun(request: bytes = NEW, greeting: bytes = b"") -> tuple[Exchange, FakeClient]:
    head = parse_request(request, HeadLimits(), Blocks())
    client = FakeClient()
    relay = Relay(
        pool=cast(Pool, FakeConnection()),
        without=frozenset(),
        added=b"",
        mark=b"",
        held_under=(),
        refuse_cookie=lambda _: False,
        otherwise=lambda *_: Answer(502, b""),
        greeting=greeting,
    )
    outcome = Outcome(head, Client("127.0.0.1", 1), 0.0)
    exchange = Exchange(cast(ClientSide, client), head, relay, outcome, cast(Any, None))
    exchange.begin()
    return exchange, client


def chunked(payload: bytes, sizes: tuple[int, ...]) -> Iterator[bytes]:
    for piece in cut(payload, sizes):
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)


def decoded(body: bytes) -> bytes:
    reader = Chunked(decode=True)
    payload, rest = reader.feed(body)
    assert not rest
    assert not reader.done
    return payload


def dispatched(stream: bytes) -> list[bytes]:
    """The events as a client reads them: lines up to an empty one; last, what is not whole yet."""
    *lines, rest = stream.replace(b"\r\n", b"\n").split(b"\n")
    found, block = [], b""
    for line in lines:
        if line:
            block += line + b"\n"
        elif block:
            found.append(block)
            block = b""
    return [*found, block + rest]


def without_ours(stream: bytes) -> list[bytes]:
    return [event for event in dispatched(stream) if event not in (OURS[:-1], GREETING[:-1])]


def played(exchange: Exchange, pieces: list[bytes]) -> int:
    """Give the exchange these pieces and try to interject behind each; say how often that went."""
    said = 0
    for piece in pieces:
        if piece:
            exchange.upstream_bytes(piece)
        said += exchange.interject(OURS)
    return said


@pytest.mark.parametrize("request_head", [NEW, OLD])
@pytest.mark.parametrize("head", [IN_CHUNKS, TO_THE_END])
@PURE
@given(told=events, sizes=segments, cuts=segments, greeting=st.sampled_from([b"", GREETING]))
def test_no_event_and_no_chunk_is_ever_split(
    request_head: bytes,
    head: bytes,
    told: list[bytes],
    sizes: tuple[int, ...],
    cuts: tuple[int, ...],
    greeting: bytes,
) -> None:
    payload = b"".join(told)
    body = b"".join(chunked(payload, sizes)) if head is IN_CHUNKS else payload
    exchange, client = begun(request_head, greeting)

    said = played(exchange, [head, *cut(body, cuts)])

    came = decoded(client.body) if request_head is NEW else client.body
    assert came.count(OURS) == said
    assert came.count(GREETING) <= 1
    assert came.replace(OURS, b"").replace(GREETING, b"") == payload
    assert dispatched(payload) == without_ours(came)


@pytest.mark.parametrize("request_head", [NEW, OLD])
@pytest.mark.parametrize("head", [IN_CHUNKS, TO_THE_END])
@PURE
@given(told=events, sizes=segments, cuts=segments)
def test_stream_that_nothing_is_put_into_is_the_upstreams(
    request_head: bytes,
    head: bytes,
    told: list[bytes],
    sizes: tuple[int, ...],
    cuts: tuple[int, ...],
) -> None:
    payload = b"".join(told)
    body = b"".join(chunked(payload, sizes)) if head is IN_CHUNKS else payload
    exchange, client = begun(request_head)

    for piece in (head, *cut(body, cuts)):
        exchange.upstream_bytes(piece) if piece else None

    came = decoded(client.body) if request_head is NEW else client.body
    assert came == payload
    if head is IN_CHUNKS and request_head is NEW:
        assert body.startswith(client.body)


@pytest.mark.parametrize("request_head", [NEW, OLD])
@pytest.mark.parametrize(
    ("head", "event"), [(IN_CHUNKS, b"9\r\n" + ONE + b"\r\n"), (TO_THE_END, ONE)]
)
def test_behind_a_whole_event_there_is_always_room(
    request_head: bytes, head: bytes, event: bytes
) -> None:
    exchange, client = begun(request_head)
    exchange.upstream_bytes(head + event)

    assert exchange.interject(OURS)
    assert client.body.count(OURS) == 1


def test_before_the_answer_there_is_no_room() -> None:
    exchange, client = begun()

    assert not exchange.interject(OURS)
    exchange.upstream_bytes(HEAD)
    assert not exchange.interject(OURS)
    assert client.written == b""


@pytest.mark.parametrize(
    "answer",
    [
        HEAD + b"Content-Length: 900\r\n\r\n" + ONE,
        HEAD + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
        IN_CHUNKS + b"9\r\n" + ONE + b"\r\n0\r\n",
        IN_CHUNKS + b"9\r\n" + ONE + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Type: text/event-stream\r\n\r\n",
    ],
)
def test_what_is_no_open_event_stream_is_left_alone(answer: bytes) -> None:
    exchange, client = begun()
    exchange.upstream_bytes(answer)
    before = client.written

    assert not exchange.interject(OURS)
    exchange.say_when_due(OURS)
    assert client.written == before


def test_client_that_does_not_read_is_skipped() -> None:
    exchange, client = begun()
    exchange.upstream_bytes(IN_CHUNKS + b"9\r\n" + ONE + b"\r\n")
    client.clogged = True

    assert not exchange.interject(OURS)
    assert OURS not in client.written


def test_greeting_comes_once_and_right_behind_the_first_event() -> None:
    exchange, client = begun(greeting=GREETING)
    exchange.upstream_bytes(IN_CHUNKS)
    exchange.upstream_bytes(b"9\r\ndata: ")
    exchange.upstream_bytes(b"1\n\n\r\n")
    exchange.upstream_bytes(b"9\r\n" + ONE + b"\r\n")

    assert decoded(client.body) == ONE + GREETING + ONE


def test_what_is_to_be_said_waits_for_the_end_of_an_event() -> None:
    exchange, client = begun()
    exchange.upstream_bytes(IN_CHUNKS + b"9\r\ndata")
    exchange.say_when_due(GREETING)
    assert GREETING not in client.written
    exchange.upstream_bytes(b": 1\n\n\r\n")

    assert decoded(client.body) == ONE + GREETING


def test_what_is_to_be_said_before_the_answer_greets_it() -> None:
    exchange, client = begun(greeting=OURS)
    exchange.say_when_due(GREETING)
    exchange.upstream_bytes(IN_CHUNKS + b"9\r\n" + ONE + b"\r\n")

    assert decoded(client.body) == ONE + OURS + GREETING


def test_what_is_said_counts_as_sent() -> None:
    exchange, _ = begun()
    exchange.upstream_bytes(TO_THE_END + ONE)
    before = exchange.outcome.bytes_out
    exchange.interject(OURS)

    assert exchange.outcome.bytes_out == before + len(b"c\r\n" + OURS + b"\r\n")
