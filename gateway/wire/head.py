"""What a request or response head may be, and how one is passed on.

Pure: bytes in, a head or `BadHead` out. The rules are stricter than every HTTP parser that may
stand behind us, because two parsers that read one head differently are how requests are smuggled
(RFC 9112 §11.2). This module knows no socket and no credential.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# SP, HTAB, VCHAR and obs-text; no CTL, so neither a bare CR, a bare LF nor a NUL (RFC 9110 §5.5).
# Possessive quantifiers: a hostile head is refused in one pass.
_FIELDS = rb"((?:" + _TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+\r\n)*+)\r\n"
# A target has no fragment (RFC 9112 §3.2): whoever reads on behind it would cut it off.
_REQUEST = re.compile(
    rb"(" + _TOKEN + rb") ([\x21\x22\x24-\x7e\x80-\xff]++) HTTP/1\.([01])\r\n" + _FIELDS
)
_RESPONSE = re.compile(
    rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?\r\n" + _FIELDS
)
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[0-9A-Za-z._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?"
)
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]*)(/.*|\?.*)?")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")

# Fields that decide framing, routing or trust; everything else is carried without being looked at.
_NOTED: Final = frozenset(
    (
        b"host connection content-length transfer-encoding upgrade expect te cookie authorization "
        b"origin sec-fetch-mode sec-fetch-site accept"
    ).split()
)
# RFC 9110 §7.6.1, with the older ones that clients still send.
_HOP_BY_HOP: Final = frozenset(
    (
        b"connection proxy-connection keep-alive te transfer-encoding upgrade trailer "
        b"proxy-authenticate proxy-authorization proxy-authentication-info http2-settings"
    ).split()
)
_LENGTH_LINE: Final = frozenset((b"content-length",))


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Sizes in bytes; `fields` is a count. OpenCode itself refuses heads above about 16 KB."""

    head_bytes: int = 32 * 1024
    target_bytes: int = 16 * 1024
    fields: int = 128


class BadHead(Exception):
    """A head that breaks a rule. `status` is what the client is told when it is the client's."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class _Head:
    """Field lines as they came; `names[i]` is the lower-case name of `lines[i]`."""

    __slots__ = ("_noted", "chunked", "length", "lines", "minor", "names")

    def __init__(self, minor: int, block: bytes) -> None:
        self.minor = minor
        self.lines = block.split(b"\r\n")[:-1]
        self.names: list[bytes] = []
        self._noted: dict[bytes, list[bytes]] = {}
        for line in self.lines:
            name, _, value = line.partition(b":")
            name = name.lower()
            self.names.append(name)
            if name in _NOTED:
                self._noted.setdefault(name, []).append(value.strip(b" \t"))
        self.chunked = False
        self.length: int | None = None

    def noted(self, name: bytes) -> list[bytes]:
        """Return the values of a field that the rules look at, in order."""
        return self._noted.get(name, [])

    def tokens(self, name: bytes) -> set[bytes]:
        """Return the lower-case members of a comma-separated list field (RFC 9110 §5.6.1)."""
        values = self._noted.get(name)
        if values is None:
            return set()
        return {token for v in values for t in v.split(b",") if (token := t.strip(b" \t").lower())}

    def _framing(self, status: int) -> None:
        """Read `Content-Length` or `Transfer-Encoding`, never both (RFC 9112 §6.1, §6.3)."""
        codings = self._noted.get(b"transfer-encoding")
        lengths = self._noted.get(b"content-length")
        if codings is not None:
            if self.minor == 0 or lengths is not None:
                raise BadHead(status, "A message is framed by one header only.")
            if len(codings) != 1 or codings[0].lower() != b"chunked":
                raise BadHead(
                    501 if status == 400 else status, "Only chunked transfer coding is known."
                )
            self.chunked = True
        elif lengths is not None:
            if len(lengths) != 1 or not _LENGTH.fullmatch(lengths[0]):
                raise BadHead(status, "Content-Length must be one number.")
            self.length = int(lengths[0])

    def _kept(self, extra: frozenset[bytes], nominated: set[bytes]) -> list[bytes]:
        """Return the lines that may travel on: not hop-by-hop, not nominated, not in `extra`.

        The length stays even where `Connection` names it: without it the body that follows would be
        read as the next message.
        """
        return [
            line
            for name, line in zip(self.names, self.lines, strict=True)
            if name not in _HOP_BY_HOP
            and (name not in nominated or name == b"content-length")
            and (name if b"_" not in name else name.replace(b"_", b"-")) not in extra
        ]


class RequestHead(_Head):
    """One request's head. `target` is origin-form, or `*`; `host` may be empty in HTTP/1.0."""

    __slots__ = ("host", "keep_alive", "method", "target", "upgrade")

    def __init__(self, method: bytes, target: bytes, minor: int, block: bytes) -> None:
        super().__init__(minor, block)
        self.method = method
        self.target = target
        self._framing(400)
        self.host = self._authority()
        connection = self.tokens(b"connection")
        self.keep_alive = b"close" not in connection and (minor == 1 or b"keep-alive" in connection)
        # Any other upgrade is ignored, as RFC 9110 §7.8 allows; its body would be lost otherwise.
        self.upgrade = (
            b"upgrade" in connection
            and method == b"GET"
            and minor == 1
            and self.tokens(b"upgrade") == {b"websocket"}
            and not self.has_body
        )

    @property
    def path(self) -> bytes:
        return self.target.partition(b"?")[0]

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]

    @property
    def has_body(self) -> bool:
        return self.chunked or bool(self.length)

    def loggable(self) -> str:
        """Method and path, escaped so that no request forges a line or paints a terminal.

        Without the query, which carries credentials.
        """
        return f"{self.method.decode()} {ascii(self.path.decode('latin-1'))[1:-1]}"

    def _authority(self) -> bytes:
        hosts = self._noted.get(b"host", [])
        if len(hosts) > 1 or (self.minor == 1 and not hosts):
            raise BadHead(400, "A request needs exactly one Host header.")
        if hosts and hosts[0] and not _HOST.fullmatch(hosts[0]):
            raise BadHead(400, "The Host header is not a host name with an optional port.")
        if self.target[:1] == b"/" or self.target == b"*":
            if self.target == b"*" and self.method != b"OPTIONS":
                raise BadHead(400, "Only OPTIONS may ask for '*'.")
            return hosts[0] if hosts else b""
        return self._absolute_form()

    def _absolute_form(self) -> bytes:
        """Take path and host out of `http://host/path`; its authority wins (RFC 9112 §3.2.2)."""
        match = _ABSOLUTE.fullmatch(self.target)
        if match is None or not _HOST.fullmatch(match[1]):
            raise BadHead(400, "The request target must begin with '/'.")
        rest = match[2] or b"/"
        self.target = rest if rest[:1] == b"/" else b"/" + rest
        return match[1]

    def for_upstream(self, target: bytes, without: frozenset[bytes], added: bytes) -> bytes:
        """Return the head to send on: `without` are names to leave out, `added` whole lines.

        What `Connection` nominates goes before anything of ours is added, so that a client cannot
        nominate our headers away.
        """
        nominated = self.tokens(b"connection")
        lines = self._kept(without | {b"host"}, nominated)
        host = b"Host: " + self.host
        framing = b"Transfer-Encoding: chunked\r\n" if self.chunked else b""
        if self.upgrade:
            framing = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        return b"".join(
            (
                self.method, b" ", target, b" HTTP/1.1\r\n",
                b"\r\n".join([host, *lines]), b"\r\n", framing, added, b"\r\n",
            )
        )  # fmt: skip


class ResponseHead(_Head):
    __slots__ = ("keep_alive", "reason", "status")

    def __init__(self, status: int, reason: bytes, minor: int, block: bytes) -> None:
        super().__init__(minor, block)
        self.status = status
        self.reason = reason
        self._framing(502)
        connection = self.tokens(b"connection")
        self.keep_alive = b"close" not in connection and (minor == 1 or b"keep-alive" in connection)

    @property
    def interim(self) -> bool:
        return self.status < 200 and self.status != 101

    def bodyless(self, method: bytes) -> bool:
        """Whether no body follows, whatever the head says (RFC 9110 §6.4.1)."""
        return method == b"HEAD" or self.status < 200 or self.status in (204, 304)

    def for_client(
        self,
        added: bytes,
        hidden: frozenset[bytes] = frozenset(),
        refuse_cookie: Callable[[bytes], bool] | None = None,
    ) -> bytes:
        """Return the head to send on; framing and connection lines are in `added`.

        `hidden` are names of fields that do not pass, beside those of one hop.
        """
        # RFC 9110 §8.6: where no body can follow, a length would be read as one that must.
        lengthless = self.status < 200 or self.status == 204
        without = hidden | _LENGTH_LINE if lengthless else hidden
        lines = self._kept(without, self.tokens(b"connection"))
        if refuse_cookie is not None and b"set-cookie" in self.names:
            lines = [
                line
                for line in lines
                if line[:11].lower() != b"set-cookie:" or not refuse_cookie(line[11:].strip(b" \t"))
            ]
        block = b"\r\n".join([*lines, b""]) if lines else b""
        return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (self.status, self.reason, block, added)


def parse_request(head: bytes, limits: HeadLimits) -> RequestHead:
    """Parse a whole head, from its first byte through the empty line."""
    match = _REQUEST.fullmatch(head)
    if match is None:
        raise BadHead(*_explain(head))
    method, target, minor, block = match.groups()
    if len(target) > limits.target_bytes:
        raise BadHead(414, "The request target is too long.")
    if block.count(b"\n") > limits.fields:
        raise BadHead(431, "The request has too many headers.")
    if method in (b"CONNECT", b"TRACE"):
        raise BadHead(501, f"{method.decode()} is not supported.")
    return RequestHead(method, target, int(minor), block)


def parse_response(head: bytes) -> ResponseHead:
    match = _RESPONSE.fullmatch(head)
    if match is None:
        raise BadHead(502, "The upstream's answer is not HTTP/1.1.")
    minor, status, reason, block = match.groups()
    return ResponseHead(int(status), reason or b"", int(minor), block)


def _explain(head: bytes) -> tuple[int, str]:
    line = head.partition(b"\r\n")[0]
    if re.fullmatch(_TOKEN + rb" \S+ HTTP/(?:[02-9]|1\.[2-9]).*", line):
        return 505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."
    return 400, "The request head is not valid HTTP/1.1."
