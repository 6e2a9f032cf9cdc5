"""What a request head may be, and how one is passed on.

Pure: bytes in, a head or `BadHead` out. The rules are stricter than every HTTP parser that may
stand behind us, because two parsers that read one head differently are how requests are smuggled
(RFC 9112 §11.2). This module knows no socket and no credential.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.wire.fields import MOST_BLOCKS, TOKEN, BadHead, Fields, Line, is_small
from gateway.wire.handshake import check_asked
from gateway.wire.remembered import Remembered

# A target has no fragment (RFC 9112 §3.2): whoever reads on behind it would cut it off.
_REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") ([\x21\x22\x24-\x7e\x80-\xff]++) HTTP/1\.([01])")
_HOST = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[0-9A-Za-z._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]{0,5})?"
)
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?]*)(/.*|\?.*)?")


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Sizes in bytes; `fields` is a count. OpenCode itself refuses heads above about 16 KB."""

    head_bytes: int = 32 * 1024
    target_bytes: int = 16 * 1024
    fields: int = 128


@lru_cache(maxsize=16)
def _and_host(without: frozenset[bytes]) -> frozenset[bytes]:
    return without | {b"host"}


class RequestFields(Fields):
    """A request's fields, read once for each distinct block: a client repeats its own.

    `annex` is for the door: what it has made of these fields and wants to find with the next
    request that carries the same. `upgrade` tells what they ask for; the method has a say too.
    """

    __slots__ = ("annex", "has_body", "host", "takes_trailers", "upgrade")

    def __init__(self, block: bytes, minor: int) -> None:
        super().__init__(block, minor, 400)
        self.annex: Any = None
        # RFC 9110 §10.1.4; to a client of HTTP/1.0 nothing comes behind a body.
        self.takes_trailers = minor == 1 and b"trailers" in self.tokens(b"te")
        self.host = self._only_host()
        self.has_body = self.chunked or bool(self.length)
        # Any other upgrade is ignored, as RFC 9110 §7.8 allows; its body would be lost otherwise.
        self.upgrade = (
            minor == 1
            and b"upgrade" in self.tokens(b"connection")
            and self.tokens(b"upgrade") == {b"websocket"}
            and not self.has_body
        )

    def kept(self, without: frozenset[bytes]) -> list[Line]:
        return super().kept(_and_host(without))

    def _only_host(self) -> bytes:
        hosts = self.noted(b"host")
        if len(hosts) > 1 or (self.minor == 1 and not hosts):
            raise BadHead(400, "A request needs exactly one Host header.")
        if hosts and hosts[0] and not _HOST.fullmatch(hosts[0]):
            raise BadHead(400, "The Host header is not a host name with an optional port.")
        return hosts[0] if hosts else b""


class RequestHead:
    """One request's head. `target` is origin-form, or `*`; `host` may be empty in HTTP/1.0."""

    __slots__ = (
        "fields",
        "has_body",
        "host",
        "keep_alive",
        "method",
        "minor",
        "path",
        "target",
        "upgrade",
    )

    def __init__(self, method: bytes, target: bytes, fields: RequestFields) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.minor = fields.minor
        self.host = fields.host
        self.has_body = fields.has_body
        self.keep_alive = fields.keep_alive
        self.upgrade = fields.upgrade and method == b"GET"
        if target[0] != 0x2F:
            self._other_form()
        self.path = self.target.partition(b"?")[0]
        if self.upgrade:
            check_asked(fields)

    @property
    def query(self) -> bytes:
        return self.target.partition(b"?")[2]

    @property
    def chunked(self) -> bool:
        return self.fields.chunked

    @property
    def length(self) -> int | None:
        return self.fields.length

    def noted(self, name: bytes) -> list[bytes]:
        """Return the values of a field that the rules look at, in order."""
        return self.fields.noted(name)

    def tokens(self, name: bytes) -> frozenset[bytes]:
        """Return the lower-case members of a comma-separated list field."""
        return self.fields.tokens(name)

    def loggable(self) -> str:
        """Method and path, escaped so that no request forges a line or paints a terminal.

        Without the query, which carries credentials.
        """
        path = self.path
        # Escaping while decoding is sixty times slower, for a path of the longest.
        if not path.isascii():
            path = path.decode("latin-1").encode("ascii", "backslashreplace")
        return f"{self.method.decode()} {path.decode()}"

    def _other_form(self) -> None:
        """Take `*` with OPTIONS alone; of `http://host/path`, take path and host.

        The authority in the target wins over the Host field (RFC 9112 §3.2.2).
        """
        if self.target == b"*":
            if self.method != b"OPTIONS":
                raise BadHead(400, "Only OPTIONS may ask for '*'.")
            return
        match = _ABSOLUTE.fullmatch(self.target)
        if match is None or not _HOST.fullmatch(match[1]):
            raise BadHead(400, "The request target must begin with '/'.")
        rest = match[2] or b"/"
        self.target = rest if rest[:1] == b"/" else b"/" + rest
        self.host = match[1]

    def for_upstream(self, target: bytes, without: frozenset[bytes], added: bytes) -> bytes:
        """Return the head to send on: `without` are names to leave out, `added` whole lines.

        What `Connection` nominates goes before anything of ours is added, so that a client cannot
        nominate our headers away.
        """
        framing = b""
        if self.upgrade:
            framing = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        elif self.fields.chunked:
            framing = b"Transfer-Encoding: chunked\r\n"
        if self.fields.takes_trailers and not self.upgrade:
            framing += b"Connection: TE\r\nTE: trailers\r\n"
        return b"%b %b HTTP/1.1\r\nHost: %b\r\n%b%b%b\r\n" % (
            self.method, target, self.host, self.fields.passed_on(without), framing, added,
        )  # fmt: skip


class Blocks:
    """The blocks of fields that the clients of one gateway sent lately, with its door's annexes."""

    def __init__(self) -> None:
        self._known: tuple[Remembered[bytes, RequestFields], ...] = (
            Remembered(MOST_BLOCKS),
            Remembered(MOST_BLOCKS),
        )

    def read(self, block: bytes, minor: int, most: int) -> RequestFields:
        """Return what a block says, which has no more than `most` lines."""
        known = self._known[minor]
        fields = known.get(block)
        lines = block.count(b"\r\n") + 1 if fields is None else len(fields.lines)
        if lines > most:
            raise BadHead(431, f"The request has too many headers: at most {most}.")
        if fields is None:
            fields = RequestFields(block, minor)
            if is_small(block, fields):
                known.keep(block, fields)
        return fields


def parse_request(head: bytes, limits: HeadLimits, blocks: Blocks) -> RequestHead:
    """Parse a whole head, from its first byte through the empty line."""
    end = head.find(b"\r\n")
    match = _REQUEST_LINE.fullmatch(head, 0, end) if head[-4:] == b"\r\n\r\n" else None
    if match is None:
        raise BadHead(*_explain(head))
    method, target, minor = match.groups()
    if len(target) > limits.target_bytes:
        most = limits.target_bytes
        raise BadHead(414, f"The request target is too long: at most {most} bytes.")
    fields = blocks.read(head[end + 2 : -4], 1 if minor == b"1" else 0, limits.fields)
    if method in (b"CONNECT", b"TRACE"):
        raise BadHead(501, f"{method.decode()} is not supported.")
    return RequestHead(method, target, fields)


def _explain(head: bytes) -> tuple[int, str]:
    line = head.partition(b"\r\n")[0]
    if re.fullmatch(TOKEN + rb" \S+ HTTP/(?:[02-9]|1\.[2-9]).*", line):
        return 505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."
    return 400, "The request head is not valid HTTP/1.1."
