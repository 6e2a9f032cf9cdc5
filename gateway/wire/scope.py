"""What ASGI is told of a request that our own application answers.

Pure: a head in, a scope out. It knows no socket and sends nothing.
"""

import re
from typing import Any
from urllib.parse import unquote

from gateway.wire.door import Client, Local
from gateway.wire.request_head import RequestHead

_NOT_ASCII = re.compile(rb"[\x80-\xff]")


def scope_of(
    head: RequestHead, local: Local, shared_state: dict[str, Any], peer: Client
) -> dict[str, Any]:
    """Return the scope; `shared_state` is what the application's lifespan left for all requests."""
    path, query = head.path, head.query
    if local.path is not None:
        path, query = local.path.encode(), b""
    return {
        "type": "http",
        # 2.4: `send` raises once the client has gone, so Starlette need not poll `receive`.
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": f"1.{head.minor}",
        "method": head.method.decode(),
        "scheme": "http",
        "path": unquote(path.decode("latin-1")),
        "raw_path": path,
        "query_string": _NOT_ASCII.sub(_escaped, query),
        "root_path": "",
        "headers": [(line.name, line.value) for line in head.fields.lines],
        "client": (peer.host, peer.port),
        "server": None,
        "state": {**shared_state, **local.state},
    }


def _escaped(found: re.Match[bytes]) -> bytes:
    """Percent-encode what no query may hold as it is: Starlette takes it for UTF-8 and fails."""
    return b"%%%02X" % ord(found[0])
