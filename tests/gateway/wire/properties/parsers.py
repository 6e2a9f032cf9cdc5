"""Four HTTP parsers of other people, each as a function: bytes in, the messages in them out.

They are what may stand behind or before the gateway. An upgrade ends a parser's work: what follows
is read by a fresh one, so that a second message is seen wherever one is seen at all.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import h11
import httptools
from aiohttp import http_parser as aiohttp_parser
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage

_ROOM = 1 << 20
# aiohttp's parsers are given a loop, which they only use once a body must wait.
_LOOP = asyncio.new_event_loop()


class Refused(Exception):
    """The parser takes these bytes for no message."""


@dataclass(frozen=True, slots=True)
class Message:
    """`first` is (method, target) or (status, reason); names are in lower case, values bare."""

    first: tuple[bytes, bytes]
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes


Parser = Callable[[bytes], list[Message]]


def message(first: tuple[bytes, bytes], fields: Any, body: bytes) -> Message:
    """Make a message of what a parser gave, without the differences that mean nothing."""
    word, rest = first
    bare = [(name.lower(), value.strip(b" \t")) for name, value in fields]
    # aiohttp's own parser writes every method in capitals, h11 the one transfer coding it knows
    # in small letters.
    return Message(
        (word.upper(), rest.strip(b" \t")),
        tuple((n, v.lower() if n == b"transfer-encoding" else v) for n, v in bare),
        body,
    )


def _to_the_end(one: Callable[[bytes], tuple[list[Message], bytes]], sent: bytes) -> list[Message]:
    messages: list[Message] = []
    while sent:
        more, rest = one(sent)
        messages += more
        if len(rest) >= len(sent):
            raise Refused("it reads nothing there")
        sent = rest
    return messages


# h11


def _h11_events(connection: h11.Connection) -> Iterator[Any]:
    while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
        yield event


def _h11_one(connection: h11.Connection, sent: bytes) -> tuple[list[Message], bytes]:
    heads: list[Any] = []
    body, ended = b"", False
    try:
        connection.receive_data(sent)
        for event in _h11_events(connection):
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                ended = True
            else:
                heads.append(event)
    except h11.RemoteProtocolError as error:
        raise Refused(str(error)) from error
    if not ended:
        raise Refused("it waits for more")
    *interim, final = heads
    read = [message(_h11_first(head), head.headers.raw_items(), b"") for head in interim]
    read.append(message(_h11_first(final), final.headers.raw_items(), body))
    return read, connection.trailing_data[0]


def _h11_first(head: Any) -> tuple[bytes, bytes]:
    if isinstance(head, h11.Request):
        return bytes(head.method), bytes(head.target)
    return b"%d" % head.status_code, bytes(head.reason)


def h11_requests(sent: bytes) -> list[Message]:
    def one(rest: bytes) -> tuple[list[Message], bytes]:
        return _h11_one(h11.Connection(h11.SERVER, max_incomplete_event_size=_ROOM), rest)

    return _to_the_end(one, sent)


def h11_responses(sent: bytes, method: bytes) -> list[Message]:
    methods = [method]

    def one(rest: bytes) -> tuple[list[Message], bytes]:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_ROOM)
        asked = methods.pop() if methods else b"GET"
        connection.send(h11.Request(method=asked, target=b"/", headers=[("Host", "h")]))
        connection.send(h11.EndOfMessage())
        return _h11_one(connection, rest)

    return _to_the_end(one, sent)


# httptools, which is llhttp


class _Heard:
    """httptools calls these as it reads."""

    def __init__(
        self, parser: Callable[["_Heard"], Any], first: Callable[[Any, bytes], Any]
    ) -> None:
        self.messages: list[Message] = []
        self.begun = False
        self.parser = parser(self)
        self._first = first

    def on_message_begin(self) -> None:
        self.begun = True
        self.line = self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []

    def on_url(self, piece: bytes) -> None:
        self.line += piece

    def on_status(self, piece: bytes) -> None:
        self.line += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value))

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.begun = False
        self.messages.append(message(self._first(self.parser, self.line), self.fields, self.body))

    def read(self, sent: bytes) -> tuple[list[Message], bytes]:
        rest = b""
        try:
            self.parser.feed_data(sent)
        except httptools.HttpParserUpgrade as switched:
            rest = sent[switched.args[0] :]
        except httptools.HttpParserError as error:
            raise Refused(repr(error)) from error
        if self.begun:
            raise Refused("it waits for more")
        return self.messages, rest


def httptools_requests(sent: bytes) -> list[Message]:
    def first(parser: Any, line: bytes) -> tuple[bytes, bytes]:
        return parser.get_method(), line

    return _to_the_end(lambda rest: _Heard(httptools.HttpRequestParser, first).read(rest), sent)


def httptools_responses(sent: bytes, method: bytes) -> list[Message]:
    def first(parser: Any, line: bytes) -> tuple[bytes, bytes]:
        return b"%d" % parser.get_status_code(), line

    return _to_the_end(lambda rest: _Heard(httptools.HttpResponseParser, first).read(rest), sent)


# aiohttp, which has two: its own in Python, and llhttp with its own rules around it


def _aiohttp_one(parser: Any, sent: bytes) -> tuple[list[Message], bytes]:
    try:
        read, _, rest = parser.feed_data(sent)
    except (BadHttpMessage, ValueError) as error:
        raise Refused(repr(error)) from error
    if not all(payload.is_eof() for _, payload in read):
        raise Refused("it waits for more")
    return [_aiohttp_message(head, payload) for head, payload in read], rest


def _aiohttp_message(head: Any, payload: Any) -> Message:
    body = b"" if payload.total_bytes == 0 else payload.read_nowait()
    if hasattr(head, "method"):
        first = (head.method.encode(), head.path.encode("utf-8", "surrogateescape"))
    else:
        first = (b"%d" % head.code, head.reason.encode("utf-8", "surrogateescape"))
    return message(first, head.raw_headers, body)


def _aiohttp(cls: Any, **more: Any) -> Callable[[bytes], tuple[list[Message], bytes]]:
    def one(sent: bytes) -> tuple[list[Message], bytes]:
        parser = cls(
            BaseProtocol(_LOOP), _LOOP, _ROOM, max_line_size=_ROOM, max_field_size=_ROOM,
            max_headers=1000, auto_decompress=False, **more,
        )  # fmt: skip
        return _aiohttp_one(parser, sent)

    return one


def aiohttp_c_requests(sent: bytes) -> list[Message]:
    return _to_the_end(_aiohttp(aiohttp_parser.HttpRequestParser), sent)


def aiohttp_py_requests(sent: bytes) -> list[Message]:
    return _to_the_end(_aiohttp(aiohttp_parser.HttpRequestParserPy), sent)


def aiohttp_c_responses(sent: bytes, method: bytes) -> list[Message]:
    return _aiohttp_responses(aiohttp_parser.HttpResponseParser, sent, method)


def aiohttp_py_responses(sent: bytes, method: bytes) -> list[Message]:
    return _aiohttp_responses(aiohttp_parser.HttpResponseParserPy, sent, method)


def _aiohttp_responses(cls: Any, sent: bytes, method: bytes) -> list[Message]:
    with_body = method != b"HEAD"
    return _to_the_end(_aiohttp(cls, response_with_body=with_body, read_until_eof=True), sent)


# A parser may be stricter than the gateway: what it refuses it cannot misread. These do, where a
# target holds bytes above ASCII; llhttp knows a list of methods, and its users refuse the others.
KNOWN_METHODS = frozenset(b"GET POST PUT HEAD DELETE OPTIONS PATCH QUERY PROPFIND".split())


def _refuses_method(method: bytes, target: bytes) -> bool:
    return method not in KNOWN_METHODS or not target.isascii() or b":99999" in target


@dataclass(frozen=True, slots=True)
class Reader:
    """A parser by its name, and what of a valid request line it may refuse all the same."""

    name: str
    parse: Parser
    may_refuse: Callable[[bytes, bytes], bool]

    def __str__(self) -> str:
        return self.name


REQUEST_READERS = [
    Reader("h11", h11_requests, lambda method, target: not target.isascii()),
    Reader("httptools", httptools_requests, _refuses_method),
    Reader("aiohttp", aiohttp_c_requests, _refuses_method),
    Reader("aiohttp-python", aiohttp_py_requests, lambda method, target: b":99999" in target),
]

# httptools is told of no method, and aiohttp's own parser takes an answer to HEAD that has no
# length for the last one.
RESPONSE_READERS = {
    b"GET": [h11_responses, httptools_responses, aiohttp_c_responses, aiohttp_py_responses],
    b"HEAD": [h11_responses, aiohttp_c_responses],
}
