"""A health poll's answer, given in a container's place: while it is frozen, or starts too slowly.

Its constant answer is OpenCode's own, with the headers that a page of another origin needs to read
it: the desktop application and other people's web UIs poll every 10 s.
"""

import json
import re

from gateway import marks, opencode
from gateway.wire.door import Answer
from gateway.wire.request_head import RequestHead

# What OpenCode itself allows without configuration.
_ALLOWED = re.compile(
    rb"http://(?:localhost|127\.0\.0\.1):[^/]*|oc://renderer|tauri://localhost"
    rb"|https?://tauri\.localhost|https://(?:[a-z0-9-]+\.)*opencode\.ai"
)


def healthy(head: RequestHead, version: str | None) -> Answer:
    """Answer as the container would; only one of the two paths tells the version."""
    told: dict[str, object] = {"healthy": True}
    if head.path == b"/global/health":
        told["version"] = version or opencode.VERSION
    body = json.dumps(told, separators=(",", ":")).encode()
    return Answer(200, body, b"Content-Type: application/json\r\n" + _cors(head) + marks.SESSION)


def _cors(head: RequestHead) -> bytes:
    origins = head.noted(b"origin")
    if not origins:
        return b"Vary: Origin\r\n"
    if len(origins) == 1 and _ALLOWED.fullmatch(origins[0]):
        return b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n" % origins[0]
    return b""
