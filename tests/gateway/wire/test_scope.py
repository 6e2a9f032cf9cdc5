"""What an application of ours is told of a request, as a pure table."""

import pytest

from gateway.wire.door import Client, Local
from gateway.wire.request_head import Blocks, HeadLimits, parse_request
from gateway.wire.scope import scope_of

PEER = Client("10.1.2.3", 5)


def test_scope_says_what_was_asked_byte_for_byte_and_who_asked() -> None:
    head = parse_request(
        b"POST /a%2Fb%20c?x=%20 HTTP/1.1\r\nHost: a\r\nX-Y:  1 \r\nX-Y: 2\r\n\r\n",
        HeadLimits(),
        Blocks(),
    )

    scope = scope_of(head, Local({"caller": "me"}), {"ours": 1}, PEER)

    assert (scope["method"], scope["http_version"], scope["client"]) == (
        "POST", "1.1", ("10.1.2.3", 5),
    )  # fmt: skip
    assert (scope["path"], scope["raw_path"]) == ("/a/b c", b"/a%2Fb%20c")
    assert scope["query_string"] == b"x=%20"
    assert scope["headers"] == [(b"host", b"a"), (b"x-y", b"1"), (b"x-y", b"2")]
    assert scope["state"] == {"ours": 1, "caller": "me"}


@pytest.mark.parametrize("minor", [0, 1])
def test_scope_says_the_version(minor: int) -> None:
    head = parse_request(b"GET / HTTP/1.%d\r\nHost: a\r\n\r\n" % minor, HeadLimits(), Blocks())

    assert scope_of(head, Local({}), {}, PEER)["http_version"] == f"1.{minor}"


def test_path_of_a_decision_takes_the_place_of_the_one_asked_for() -> None:
    head = parse_request(b"GET /asked?for=this HTTP/1.1\r\nHost: a\r\n\r\n", HeadLimits(), Blocks())

    scope = scope_of(head, Local({}, path="/gateway/starting"), {}, PEER)

    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (
        "/gateway/starting", b"/gateway/starting", b"",
    )  # fmt: skip


def test_query_that_is_no_utf_8_is_told_in_ascii() -> None:
    head = parse_request(
        b"GET /a?\xff=\xc3\xa9%20 HTTP/1.1\r\nHost: a\r\n\r\n", HeadLimits(), Blocks()
    )

    assert scope_of(head, Local({}), {}, PEER)["query_string"] == b"%FF=%C3%A9%20"
