"""What a response head may be, and how one is passed on.

Pure: bytes in, a head or `BadHead` out, by rules as strict as a request's (`request_head`). This
module knows no socket, and not to whose request the answer belongs.
"""

import re
from collections.abc import Callable
from typing import Final

from gateway.wire.fields import MOST_BLOCKS, BadHead, Fields, Line, is_small
from gateway.wire.remembered import Remembered

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*+))?")

_LENGTH_LINE: Final = frozenset((b"content-length",))


class ResponseHead(Fields):
    """One response's head; `interim` says that another follows it."""

    __slots__ = ("interim", "never_has_body", "reason", "sets_cookies", "status")

    def __init__(self, status: int, reason: bytes, minor: int, block: bytes) -> None:
        super().__init__(block, minor, 502)
        self.status = status
        self.reason = reason
        self.interim = status < 200 and status != 101
        self.never_has_body = status < 200 or status in (204, 304)
        self.sets_cookies = b"set-cookie" in self._noted

    def bodyless(self, method: bytes) -> bool:
        """Whether no body follows, whatever the head says (RFC 9110 §6.4.1)."""
        return self.never_has_body or method == b"HEAD"

    def for_client(
        self,
        added: bytes,
        hidden: frozenset[bytes] = frozenset(),
        refuse_cookie: Callable[[bytes], bool] | None = None,
    ) -> bytes:
        """Return the head to send on; framing and connection lines are in `added`.

        `hidden` are names of fields that do not pass, beside those of one hop.
        """
        if refuse_cookie is None or not self.sets_cookies:
            block = self.passed_on(hidden)
        else:
            block = b"".join(
                [
                    line.text
                    for line in self.kept(hidden)
                    if line.name != b"set-cookie" or not refuse_cookie(line.value)
                ]
            )
        return b"HTTP/1.1 %d %b\r\n%b%b\r\n" % (self.status, self.reason, block, added)

    def kept(self, without: frozenset[bytes]) -> list[Line]:
        # RFC 9110 §8.6: where no body can follow, a length would be read as one that must.
        lengthless = self.status < 200 or self.status == 204
        return super().kept(without | _LENGTH_LINE if lengthless else without)


_answers: Remembered[bytes, ResponseHead] = Remembered(MOST_BLOCKS)


def check_begun(held: bytes) -> None:
    """Refuse what can become no response head however it goes on, lest it be waited for.

    An answer may take its time, so that nothing else would end the wait for another protocol's.
    """
    if not b"HTTP/1.".startswith(held[:7]) or held.count(b"\n") > held.count(b"\r\n"):
        raise BadHead(502, "The upstream's answer is not HTTP/1.1.")


def parse_response(head: bytes) -> ResponseHead:
    """Parse a whole head; one that sets no cookie is remembered, since a busy server repeats it."""
    known = _answers.get(head)
    if known is not None:
        return known
    parsed = _parse_response(head)
    if is_small(head, parsed) and not parsed.sets_cookies:
        _answers.keep(head, parsed)
    return parsed


def _parse_response(head: bytes) -> ResponseHead:
    end = head.find(b"\r\n")
    match = _STATUS_LINE.fullmatch(head, 0, end) if head[-4:] == b"\r\n\r\n" else None
    if match is None:
        raise BadHead(502, "The upstream's answer is not HTTP/1.1.")
    minor, status, reason = match.groups()
    return ResponseHead(int(status), reason or b"", int(minor), head[end + 2 : -4])
