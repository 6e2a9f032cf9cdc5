"""OpenCode's events as the gateway writes them in a container's place, in OpenCode's own shapes.

Pure: captured from OpenCode 1.18.33, byte for byte but for the ids. Which of them are due, and when
they may be put into a stream, is decided elsewhere.
"""

import json
import posixpath
import secrets
import time
from collections.abc import Sequence
from urllib.parse import parse_qs, unquote

from gateway.routing import Interruption
from gateway.wire.request_head import RequestHead

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIRECTORY = b"x-opencode-directory"


def heartbeat(path: bytes) -> bytes:
    """Return what the event stream of this path says every 10 s or so; nothing for any other."""
    beat = f'{{"id":"{_new_id()}","type":"server.heartbeat","properties":{{}}}}'
    match path:
        case b"/event":
            return _data(beat)
        case b"/global/event":
            return _data(f'{{"payload":{beat}}}')
        case b"/api/event":
            return b": heartbeat\n\n"
    return b""


def interrupted(head: RequestHead, turns: Sequence[Interruption], workspace: str | None) -> bytes:
    """Return the events of unfinished turns that the stream a head asks for would have carried.

    `/api/event` has no event for it: its conversations know their own state when asked.
    """
    if head.path == b"/global/event":
        told = [f'{{"directory":{json.dumps(t.directory)},"payload":{_with_id(t)}}}' for t in turns]
    elif head.path == b"/event":
        directory = _directory(head, workspace)
        told = [_with_id(t) for t in turns if posixpath.normpath(t.directory) == directory]
    else:
        told = []
    return b"".join(_data(event) for event in told)


def _directory(head: RequestHead, workspace: str | None) -> str:
    """The folder whose events are asked for, as OpenCode finds it out, decoding it once more."""
    asked = parse_qs(head.query.decode("latin-1")).get("directory")
    named = [line.value.decode("latin-1") for line in head.fields.lines if line.name == _DIRECTORY]
    directory = unquote((asked or named or [""])[0])
    return posixpath.normpath(posixpath.join(workspace or "/", directory))


def _with_id(turn: Interruption) -> str:
    return f'{{"id":"{_new_id()}",{turn.payload[1:]}'


def _new_id() -> str:
    """An event's id: the time in milliseconds with a counter, and what makes it one of its own."""
    ordered = (time.time_ns() // 1_000_000 << 12 | 1) & 0xFFFF_FFFF_FFFF
    return f"evt_{ordered:012x}{''.join(secrets.choice(_LETTERS) for _ in range(14))}"


def _data(event: str) -> bytes:
    return f"data: {event}\n\n".encode()
