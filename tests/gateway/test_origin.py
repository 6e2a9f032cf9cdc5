"""When a request comes from another site's page."""

import pytest

from gateway.origin import is_counted
from gateway.wire.request_head import Blocks, HeadLimits, RequestHead, parse_request

PUBLIC = b"gw.example"
UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def head(lines: bytes, method: bytes = b"POST", host: bytes = b"127.0.0.1:8000") -> RequestHead:
    raw = method + b" / HTTP/1.1\r\nHost: " + host + b"\r\n" + lines + b"\r\n"
    return parse_request(raw, HeadLimits(), Blocks())


@pytest.mark.parametrize(
    ("lines", "foreign"),
    [
        (b"", False),
        (b"Origin: http://127.0.0.1:8000\r\n", False),
        (b"Origin: https://gw.example\r\n", False),
        (b"Origin: https://GW.example\r\n", False),
        (b"Origin: https://evil.example\r\n", True),
        (b"Origin: https://gw.example.evil\r\n", True),
        (b"Origin: https://evil-gw.example\r\n", True),
        (b"Origin: https://gw.example:8443\r\n", True),
        (b"Origin: http://127.0.0.1\r\n", True),
        (b"Origin: null\r\n", True),
        (b"Origin: \r\n", True),
        (b"Origin: gw.example\r\n", True),
        (b"Origin: https://gw.example\r\nOrigin: https://evil.example\r\n", True),
        (b"Sec-Fetch-Site: same-origin\r\n", False),
        (b"Sec-Fetch-Site: none\r\n", False),
        (b"Sec-Fetch-Site: same-site\r\n", True),
        (b"Sec-Fetch-Site: cross-site\r\n", True),
        (b"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Site: cross-site\r\n", True),
    ],
)
@pytest.mark.parametrize("acts", ["writes", "upgrades"])
def test_what_acts_must_come_from_here(lines: bytes, foreign: bool, acts: str) -> None:
    asked = head(lines) if acts == "writes" else head(UPGRADE + lines, b"GET")

    assert is_counted("cookie", asked, PUBLIC) is not foreign


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS"])
def test_what_only_reads_may_come_from_anywhere(method: bytes) -> None:
    assert is_counted("cookie", head(b"Origin: https://evil.example\r\n", method), PUBLIC)


def test_empty_host_is_no_origins() -> None:
    assert not is_counted("cookie", head(b"Origin: null\r\n", host=b""), PUBLIC)


@pytest.mark.parametrize(
    ("site", "mode", "counted"),
    [
        (b"cross-site", b"navigate", False),
        (b"cross-site", b"no-cors", False),
        (b"same-site", b"no-cors", False),
        (b"cross-site", b"cors", True),
        (b"same-origin", b"cors", True),
        (b"none", b"navigate", True),
    ],
)
def test_basic_that_a_browser_keeps_does_not_count_for_another_sites_form(
    site: bytes, mode: bytes, counted: bool
) -> None:
    lines = b"Sec-Fetch-Site: " + site + b"\r\nSec-Fetch-Mode: " + mode + b"\r\n"

    assert is_counted("basic", head(lines), PUBLIC) is counted
    assert is_counted("basic", head(lines, b"GET"), PUBLIC)
    assert is_counted("bearer", head(lines), PUBLIC)


def test_basic_of_a_program_counts() -> None:
    assert is_counted("basic", head(b""), PUBLIC)


def test_basic_that_a_browser_keeps_opens_no_websocket_for_another_site() -> None:
    foreign = head(UPGRADE + b"Origin: https://evil.example\r\n", b"GET")

    assert not is_counted("basic", foreign, PUBLIC)
    assert is_counted("basic", head(UPGRADE, b"GET"), PUBLIC)
