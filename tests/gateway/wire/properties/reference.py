"""Which messages the rules find in a stream of bytes: what may appear on the other side, no more.

Heads are judged by the gateway's own rules, which other properties hold against other people's
parsers; where a body ends is worked out here anew, from the whole stream at once.
"""

import re

from gateway.wire.fields import BadHead
from gateway.wire.request_head import Blocks, HeadLimits, RequestHead, parse_request
from gateway.wire.response_head import ResponseHead, parse_response

# RFC 9112 §7.1, with what may follow a size and what a trailer may be.
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
_TRAILERS = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n")
_END = b"\r\n\r\n"


def requests_in(sent: bytes) -> list[tuple[RequestHead, bytes]]:
    """The whole requests with their payloads, up to the one that ends the connection."""
    found: list[tuple[RequestHead, bytes]] = []
    while True:
        # RFC 9112 §2.2: empty lines before a request are nothing.
        sent = re.sub(rb"\A(?:\r\n)+", b"", sent)
        head, found_end, rest = sent.partition(_END)
        try:
            request = parse_request(head + found_end, HeadLimits(), Blocks())
        except BadHead:
            return found
        read = _body(rest, request.chunked, request.length or 0)
        if read is None:
            return found
        payload, sent = read
        found.append((request, payload))
        if not request.keep_alive:
            return found


def response_in(sent: bytes, method: bytes, *, closes: bool) -> tuple[ResponseHead, bytes] | None:
    """The final response with its payload, if it is whole."""
    while True:
        head, found_end, sent = sent.partition(_END)
        try:
            response = parse_response(head + found_end)
        except BadHead:
            return None
        if not response.interim:
            break
    if response.bodyless(method):
        return response, b""
    if not response.chunked and response.length is None:
        return (response, sent) if closes else None
    read = _body(sent, response.chunked, response.length or 0)
    return None if read is None else (response, read[0])


def _body(sent: bytes, chunked: bool, length: int) -> tuple[bytes, bytes] | None:
    """Return (the payload, what follows it), or None where it breaks or is not whole."""
    if not chunked:
        return None if len(sent) < length else (sent[:length], sent[length:])
    payload = b""
    while chunk := _CHUNK.match(sent):
        size, sent = int(chunk[1], 16), sent[chunk.end() :]
        if size == 0:
            trailers = _TRAILERS.match(sent)
            return None if trailers is None else (payload, sent[trailers.end() :])
        if sent[size : size + 2] != b"\r\n":
            return None
        payload, sent = payload + sent[:size], sent[size + 2 :]
    return None
