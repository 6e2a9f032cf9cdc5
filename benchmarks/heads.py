"""The requests of the load: what browsers send to OpenCode, in many versions of the same size.

Sessions' cookies, paths, queries and the values of five headers differ from one request to the
next, since a proxy that only sees one head could remember it whole. It sends nothing itself.
"""

from collections.abc import Sequence
from itertools import cycle, islice

MANY = 256
_VERSIONS = ("138", "139", "140", "141", "142")
_SYSTEMS = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7")
_LANGUAGES = ("en-GB,en;q=0.9", "de-DE,de;q=0.9,en;q=0.7", "fr-FR,fr;q=0.8", "es-ES,es;q=0.9")
_OTHERS = ("", "theme=dark; ", "sidebar=238; theme=light; ")


def small(cookies: Sequence[str], count: int = MANY, *, different: bool = False) -> bytes:
    """Return requests for small JSON; with `different`, NUMBER stands where a counter goes."""
    named = islice(cycle(cookies), max(count, len(cookies)))
    query = "&before=NUMBER" if different else ""
    extra = "X-Request-Id: NUMBER\r\n" if different else ""
    return b"".join(
        _head(f"GET /session/ses_{_id(n)}/message?limit={20 + n % 80}{query}", cookie, n, extra)
        for n, cookie in enumerate(named)
    )


def events(path: str, cookie: str) -> bytes:
    return _head(f"GET {path}", cookie, 0, "", accept="text/event-stream")


def socket(path: str, cookie: str) -> bytes:
    extra = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    return _head(f"GET {path}", cookie, 0, extra)


def get(path: str, cookie: str) -> bytes:
    return _head(f"GET {path}", cookie, 0, "")


def upload(path: str, cookie: str, size: int) -> bytes:
    extra = f"Content-Type: application/octet-stream\r\nContent-Length: {size}\r\n"
    return _head(f"PUT {path}", cookie, 0, extra)


def _head(start: str, cookie: str, n: int, extra: str, *, accept: str = "*/*") -> bytes:
    version, system = _VERSIONS[n % 5], _SYSTEMS[n % 3]
    return (
        f"{start} HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"
        f'sec-ch-ua: "Chromium";v="{version}", "Not=A?Brand";v="24"\r\n'
        "sec-ch-ua-mobile: ?0\r\n"
        f"User-Agent: Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{version}.0.0.0 Safari/537.36\r\n"
        f"Accept: {accept}\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: cors\r\n"
        "Sec-Fetch-Dest: empty\r\n"
        f"Referer: http://127.0.0.1:8000/L3dvcmtzcGFjZQ/session/ses_{_id(n // 4)}\r\n"
        f"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: {_LANGUAGES[n % 4]}\r\n"
        f"x-opencode-directory: /workspace/project-{n % 8}\r\n"
        f"Cookie: {_OTHERS[n % 3]}{cookie}\r\n{extra}\r\n"
    ).encode()


def _id(n: int) -> str:
    """Something of the length and look of OpenCode's ids."""
    return f"5f2c{n * 2654435761 % 2**32:08x}ffeQ7sB1kXv0Zt3"
