"""The WebSocket handshake, as far as a relay must answer for it (RFC 6455 §4.2).

Pure. A connection becomes a tunnel only where both sides prove that they mean it: who could make
an upstream say 101 by chance, or a client believe it, would have bytes pass that nobody reads.
"""

import hashlib
import re
from base64 import b64encode

from gateway.wire.fields import BadHead, Fields

_KEY = re.compile(rb"[0-9A-Za-z+/]{22}==")
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def check_asked(request: Fields) -> None:
    """Refuse a handshake whose answer could not be checked.

    Another version than 13 is no fault: it is the upstream's to answer with 426 and its own.
    """
    keys = request.noted(b"sec-websocket-key")
    if len(keys) != 1 or not _KEY.fullmatch(keys[0]):
        raise BadHead(400, "A WebSocket handshake needs one Sec-WebSocket-Key of 16 bytes.")


def check_switched(request: Fields, response: Fields) -> None:
    """Refuse a 101 that does not answer this very handshake, or not in the version we know."""
    if response.tokens(b"upgrade") != {b"websocket"}:
        raise BadHead(502, "The upstream switched to a protocol nobody asked for.")
    (key,) = request.noted(b"sec-websocket-key")
    if response.noted(b"sec-websocket-accept") != [accept(key)]:
        raise BadHead(502, "The upstream's Sec-WebSocket-Accept does not answer the handshake.")
    if request.noted(b"sec-websocket-version") != [b"13"]:
        raise BadHead(502, "The upstream switched to a version of WebSocket that is not known.")


def accept(key: bytes) -> bytes:
    """Return what only a server that has read the handshake answers (RFC 6455 §4.2.2)."""
    return b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
