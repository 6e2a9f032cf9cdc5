"""A health poll's answer in a container's place: what the real server answers, byte for byte."""

import pytest

from gateway.health import healthy
from gateway.wire.request_head import Blocks, HeadLimits, RequestHead, parse_request

ROUTE = b"X-OpenCode-Gateway-Route: session\r\n"
JSON = b"Content-Type: application/json\r\n"


def poll(path: str, origin: str = "") -> RequestHead:
    line = f"Origin: {origin}\r\n" if origin else ""
    head = f"GET {path} HTTP/1.1\r\nHost: h\r\n{line}\r\n"
    return parse_request(head.encode(), HeadLimits(), Blocks())


def test_answer_is_the_servers_own() -> None:
    answer = healthy(poll("/global/health"), "1.18.40")

    assert answer.status == 200
    assert answer.body == b'{"healthy":true,"version":"1.18.40"}'
    assert answer.headers == JSON + b"Vary: Origin\r\n" + ROUTE


def test_newer_path_tells_no_version() -> None:
    assert healthy(poll("/api/health"), "1.18.40").body == b'{"healthy":true}'


def test_unknown_version_is_the_one_that_is_shipped() -> None:
    answer = healthy(poll("/global/health"), None)

    assert answer.body == b'{"healthy":true,"version":"1.18.33"}'


@pytest.mark.parametrize(
    "origin",
    ["http://localhost:3000", "http://127.0.0.1:5173", "oc://renderer", "https://app.opencode.ai"],
)
def test_page_that_opencode_allows_can_read_it(origin: str) -> None:
    allowed = f"Access-Control-Allow-Origin: {origin}\r\n".encode()

    assert allowed in healthy(poll("/global/health", origin), None).headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://opencode.ai.evil.example", "null"]
)
def test_any_other_page_cannot(origin: str) -> None:
    assert b"Access-Control" not in healthy(poll("/global/health", origin), None).headers
