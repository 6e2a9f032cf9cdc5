"""Reading OpenCode's event stream: from bytes to the few events that change what is known.

A turn sends thousands of events and most of them matter only by their type and conversation, which
stand at a line's beginning; a line is read as JSON only where more of it is needed. Nothing here
knows what an event means.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

# `"payload":{` can't be part of a string, where its quotes would be escaped.
_HEAD = re.compile(
    rb'"payload":\{(?:"id":"[^"\\]*",)?"type":"(?P<type>[^"\\]*)"'
    rb'(?:,"properties":\{"sessionID":"(?P<conversation>[^"\\]*)")?'
)
_DATA = b"data:"
# No event that is read whole is larger; a diff may be, and its beginning is enough.
_LONGEST_LINE = 1 << 20
_READ_WHOLE = re.compile(
    r"session\.(status|idle|created|updated|deleted)|session\.next\.(step|tool|shell)\.\w+|(permission|question|pty)\..+"
    r"|server\.instance\.disposed|global\.disposed"
)


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its kind, the conversation it is about ("" if none), where it happened.

    `properties` is filled where `_READ_WHOLE` says so, else it is empty.
    """

    type: str
    conversation: str = ""
    directory: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


class Lines:
    """Cuts what arrives into lines, each as long as is worth reading."""

    def __init__(self) -> None:
        self._begun = bytearray()

    def fed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the lines that this piece ends.

        Only a line feed ends one: httpx's own lines also end at U+2028, which a model may write.
        """
        *ended, begun = piece.split(b"\n")
        for rest in ended:
            self._add(rest)
            yield bytes(self._begun)
            self._begun.clear()
        self._add(begun)

    def _add(self, piece: bytes) -> None:
        self._begun += piece[: _LONGEST_LINE - len(self._begun)]


def read(line: bytes) -> Event | None:
    """The event of one line of `/global/event`; None if there is none, or none we understand."""
    if not line.startswith(_DATA):
        return None
    head = _HEAD.search(line)
    if head is None:
        return _whole(line)
    kind = head["type"].decode(errors="replace")
    if _READ_WHOLE.fullmatch(kind):
        return _whole(line)
    return Event(kind, (head["conversation"] or b"").decode(errors="replace"))


def _whole(line: bytes) -> Event | None:
    try:
        envelope = json.loads(line[len(_DATA) :])
    except (ValueError, RecursionError):
        return None
    payload = member(envelope, "payload")
    kind = text(payload, "type")
    properties = member(payload, "properties")
    if not kind:
        return None
    return Event(kind, text(properties, "sessionID"), text(envelope, "directory"), properties)


def member(value: Any, name: str) -> dict[str, Any]:
    """An object inside an object, as far as there is one: what OpenCode sends may change."""
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, dict) else {}


def text(value: Any, name: str) -> str:
    inner = value.get(name) if isinstance(value, dict) else None
    return inner if isinstance(inner, str) else ""


def objects(value: Any) -> list[dict[str, Any]]:
    """The objects of a list, as far as it is one."""
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
