"""The field lines of a head: which are valid, which decide something, which may travel on.

Pure. A line is judged once and remembered by its very bytes, because clients say the same of
themselves with every request; judging fifteen lines anew costs more than all else that a relayed
request needs. This module knows field lines; what a head may be is said beside it
(`request_head`, `response_head`).
"""

import re
from typing import Final

from gateway.wire.remembered import Remembered

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# SP, HTAB, VCHAR and obs-text; no CTL, so neither a bare CR, a bare LF nor a NUL (RFC 9110 §5.5).
# Possessive quantifiers: a hostile line is refused in one pass.
LINE = re.compile(rb"(" + TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*+)")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")

# Fields that decide framing, routing or trust; everything else is carried without being looked at.
_NOTED: Final = frozenset(
    (
        b"host connection content-length transfer-encoding upgrade expect te cookie set-cookie "
        b"authorization origin sec-fetch-mode sec-fetch-site accept content-type "
        b"sec-websocket-key sec-websocket-version sec-websocket-accept trailer via"
    ).split()
)
# RFC 9110 §7.6.1, with the older ones that clients still send.
_HOP_BY_HOP: Final = frozenset(
    (
        b"connection proxy-connection keep-alive te transfer-encoding upgrade trailer "
        b"proxy-authenticate proxy-authorization proxy-authentication-info http2-settings"
    ).split()
)
# What nearly every client nominates is gone already, is no field, or may not go.
_NOMINATED_IN_VAIN: Final = _HOP_BY_HOP | {b"close", b"content-length"}

_MOST_KNOWN = 4096
# Distinct blocks of fields, and heads of responses, that are remembered.
MOST_BLOCKS = 1024
_LONGEST_BLOCK = 4096
# A line takes some 400 bytes beside its own; hundreds of tiny ones fit into a block.
_MOST_LINES = 32
_NO_MEMBERS: Final[frozenset[bytes]] = frozenset()
_LONGEST_KNOWN = 512


class BadHead(Exception):
    """A head that breaks a rule. `status` is what the client is told when it is the client's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


def folded(name: bytes) -> bytes:
    """Return a field's name as servers behind CGI-like interfaces may take it.

    To them `X_Forwarded_For` is `X-Forwarded-For`.
    """
    return name.lower().replace(b"_", b"-")


class Line:
    """One field line, `text` as it came with its CRLF; `name` is lower-case."""

    def __init__(self, text: bytes, name: bytes, value: bytes) -> None:
        self.text = text + b"\r\n"
        self.name = name.lower()
        self.value = value.strip(b" \t")
        self.folded = folded(name)
        self.noted = self.name in _NOTED
        self.hop = self.name in _HOP_BY_HOP

    @property
    def members(self) -> frozenset[bytes]:
        """The lower-case members of a comma-separated list (RFC 9110 §5.6.1).

        Made anew each time: kept, those of a long list would take ten times their line's memory.
        """
        parts = (part.strip(b" \t").lower() for part in self.value.split(b","))
        return frozenset(part for part in parts if part)


_known: Remembered[bytes, Line] = Remembered(_MOST_KNOWN)


def _judge(text: bytes, status: int) -> Line:
    match = LINE.fullmatch(text)
    if match is None:
        raise BadHead(status, "A header is not valid HTTP/1.1.")
    line = Line(text, match[1], match[2])
    if len(text) <= _LONGEST_KNOWN:
        _known.keep(text, line)
    return line


class Fields:
    """The lines between a head's first line and its empty one, in order.

    `status` is what a broken rule is told with: 400 for a client's head, 502 for an upstream's.
    """

    __slots__ = (
        "_noted",
        "_passed_on",
        "_without",
        "chunked",
        "keep_alive",
        "length",
        "lines",
        "minor",
    )

    def __init__(self, block: bytes, minor: int, status: int) -> None:
        self.minor = minor
        self.lines: list[Line] = []
        self._noted: dict[bytes, list[Line]] = {}
        if block:
            self._read(block, status)
        self.chunked = False
        self.length: int | None = None
        self._framing(status)
        if b"connection" in self._noted:
            tokens = self.tokens(b"connection")
            self.keep_alive = b"close" not in tokens and (minor == 1 or b"keep-alive" in tokens)
        else:
            self.keep_alive = minor == 1
        self._without: frozenset[bytes] | None = None
        self._passed_on = b""

    def noted(self, name: bytes) -> list[bytes]:
        """Return the values of a field that the rules look at, in order."""
        lines = self._noted.get(name)
        return [line.value for line in lines] if lines else []

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """Return the lower-case members of a list field that may come in several lines."""
        lines = self._noted.get(name)
        if lines is None:
            return _NO_MEMBERS
        return (
            lines[0].members if len(lines) == 1 else frozenset().union(*(x.members for x in lines))
        )

    def _read(self, block: bytes, status: int) -> None:
        known, noted, lines = _known, self._noted, self.lines
        for text in block.split(b"\r\n"):
            line = known.get(text) or _judge(text, status)
            lines.append(line)
            if line.noted:
                if line.name in noted:
                    noted[line.name].append(line)
                else:
                    noted[line.name] = [line]

    def _framing(self, status: int) -> None:
        """Read `Content-Length` or `Transfer-Encoding`, never both (RFC 9112 §6.1, §6.3)."""
        codings = self._noted.get(b"transfer-encoding")
        lengths = self._noted.get(b"content-length")
        if codings is not None:
            if self.minor == 0 or lengths is not None:
                raise BadHead(status, "A message is framed by one header only.")
            if len(codings) != 1 or codings[0].value.lower() != b"chunked":
                raise BadHead(
                    501 if status == 400 else status, "Only chunked transfer coding is known."
                )
            self.chunked = True
        elif lengths is not None:
            if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0].value):
                raise BadHead(status, "Content-Length must be one number.")
            self.length = int(lengths[0].value)

    def passed_on(self, without: frozenset[bytes]) -> bytes:
        """Return the lines that travel on, framing excluded; remembered for the last `without`."""
        if self._without is not without:
            self._passed_on = b"".join([line.text for line in self.kept(without)])
            self._without = without
        return self._passed_on

    def kept(self, without: frozenset[bytes]) -> list[Line]:
        """Return the lines that may travel on: not hop-by-hop, not nominated, not in `without`.

        The length stays even where `Connection` names it: without it the body that follows would be
        read as the next message.
        """
        kept = [line for line in self.lines if not line.hop and line.folded not in without]
        if b"connection" in self._noted:
            nominated = self.tokens(b"connection") - _NOMINATED_IN_VAIN
            if nominated:
                kept = [line for line in kept if line.name not in nominated]
        return kept


def is_small(block: bytes, fields: Fields) -> bool:
    """Whether what was read of these bytes may be remembered; strangers choose them."""
    return len(block) <= _LONGEST_BLOCK and len(fields.lines) <= _MOST_LINES
