"""One HTTP message as a socket gave it, read by a reader of the tests' own.

It takes what it is sent for valid and is as short as that allows. What two messages have in common
over a relay is here too: all but what belongs to one hop (RFC 9110 §7.6.1).
"""

from dataclasses import dataclass

from tests.support.wire import Recorded

_OF_ONE_HOP = frozenset(
    b"connection proxy-connection keep-alive te transfer-encoding upgrade trailer".split()
)


@dataclass(frozen=True, slots=True)
class Seen:
    """`raw` is the body as it came, `bare` the same without chunk extensions and trailers."""

    first: bytes
    lines: tuple[bytes, ...]
    framing: str
    raw: bytes = b""
    bare: bytes = b""
    payload: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        return [line[len(name) + 1 :].strip(b" \t") for line in self.lines if _name(line) == name]

    def carried(self, *without: bytes) -> list[bytes]:
        """The lines that no hop may change, in order."""
        named = b",".join(self.values(b"connection")).lower().split(b",")
        nominated = {name.strip(b" \t") for name in named} - {b"content-length"}
        gone = _OF_ONE_HOP | nominated | {*without}
        return [line for line in self.lines if _name(line) not in gone]


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


async def read_request(reader: Recorded) -> Seen:
    return await read_body(reader, await next_head(reader))


async def read_answer(reader: Recorded, method: bytes) -> list[Seen]:
    """Read a response with the interim ones before it."""
    interim: list[Seen] = []
    while (head := await reader.head()).split(b" ", 2)[1].startswith(b"1"):
        interim.append(_seen(head, "none"))
    bodyless = method == b"HEAD" or head.split(b" ", 2)[1] in (b"204", b"304")
    final = _seen(head, "none") if bodyless else await read_body(reader, head, "close")
    return [*interim, final]


async def next_head(reader: Recorded) -> bytes:
    """Wait for the next request however long it is in coming: a pool may keep us for later."""
    while True:
        try:
            return await reader.head()
        except TimeoutError:
            continue


def _seen(head: bytes, framing: str, *body: bytes) -> Seen:
    first, *lines = head[:-4].split(b"\r\n")
    return Seen(first, tuple(lines), framing, *body)


async def read_body(reader: Recorded, head: bytes, otherwise: str = "none") -> Seen:
    seen = _seen(head, otherwise)
    if seen.values(b"transfer-encoding"):
        return _seen(head, "chunked", *await _chunks(reader))
    if lengths := seen.values(b"content-length"):
        body = await reader.exactly(int(lengths[0]))
        return _seen(head, "length", body, body, body)
    body = await reader.rest() if otherwise == "close" else b""
    return _seen(head, otherwise, body, body, body)


async def _chunks(reader: Recorded) -> tuple[bytes, bytes, bytes]:
    raw, bare, payload, size = b"", b"", b"", 1
    while size:
        line = await reader.until(b"\r\n")
        digits = line.rstrip().partition(b";")[0].strip(b" \t")
        size = int(digits, 16)
        chunk = await reader.exactly(size + 2) if size else b""
        raw += line + chunk
        bare += digits + b"\r\n" + chunk
        payload += chunk[:-2]
    while (line := await reader.until(b"\r\n")) != b"\r\n":
        raw += line
    return raw + line, bare + line, payload
