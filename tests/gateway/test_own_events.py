"""OpenCode's events as the gateway writes them: the shapes of the real server, byte for byte."""

import json
import re

import pytest

from gateway import own_events
from gateway.routing import Interruption
from gateway.wire.request_head import Blocks, HeadLimits, RequestHead, parse_request

HERE = Interruption("/workspace", '{"type":"session.error","properties":{"sessionID":"ses_1"}}')
THERE = Interruption("/workspace/b", '{"type":"session.error","properties":{"sessionID":"ses_2"}}')


def asked(target: str, *lines: str) -> RequestHead:
    head = "\r\n".join([f"GET {target} HTTP/1.1", "Host: h", *lines, "", ""])
    return parse_request(head.encode(), HeadLimits(), Blocks())


def told(target: str, *lines: str) -> list[dict[str, object]]:
    events = own_events.interrupted(asked(target, *lines), (HERE, THERE), "/workspace")
    return [json.loads(event.removeprefix(b"data: ")) for event in events.split(b"\n\n") if event]


def test_heartbeat_of_a_folders_events_is_opencodes() -> None:
    captured = (
        rb'data: {"id":"evt_[0-9a-f]{12}[0-9A-Za-z]{14}",'
        rb'"type":"server.heartbeat","properties":{}}\n\n'
    )

    assert re.fullmatch(captured, own_events.heartbeat(b"/event"))


def test_heartbeat_of_all_events_is_wrapped_as_opencodes() -> None:
    captured = (
        rb'data: {"payload":{"id":"evt_[0-9a-f]{12}[0-9A-Za-z]{14}",'
        rb'"type":"server.heartbeat","properties":{}}}\n\n'
    )

    assert re.fullmatch(captured, own_events.heartbeat(b"/global/event"))


def test_heartbeat_of_the_newer_stream_is_a_comment() -> None:
    assert own_events.heartbeat(b"/api/event") == b": heartbeat\n\n"


def test_stream_that_has_no_heartbeat_gets_none() -> None:
    assert own_events.heartbeat(b"/api/session/ses_1/event") == b""


def test_all_unfinished_turns_are_told_in_the_wrapped_shape() -> None:
    first, second = told("/global/event?directory=/elsewhere")

    assert (first["directory"], second["directory"]) == ("/workspace", "/workspace/b")
    payload = first["payload"]
    assert isinstance(payload, dict)
    assert payload["type"] == "session.error"
    assert payload["properties"] == {"sessionID": "ses_1"}
    assert payload["id"].startswith("evt_")


@pytest.mark.parametrize(
    ("target", "lines", "conversation"),
    [
        ("/event", (), "ses_1"),
        ("/event?directory=%2Fworkspace%2Fb", (), "ses_2"),
        ("/event?directory=%252Fworkspace%252Fb", (), "ses_2"),
        ("/event?directory=/workspace/b/", (), "ses_2"),
        ("/event?directory=b", (), "ses_2"),
        ("/event", ("X-OpenCode-Directory: %2Fworkspace%2Fb",), "ses_2"),
        ("/event?directory=/workspace", ("X-OpenCode-Directory: /workspace/b",), "ses_1"),
    ],
)
def test_a_folders_stream_is_told_of_its_own_turns(
    target: str, lines: tuple[str, ...], conversation: str
) -> None:
    (event,) = told(target, *lines)

    assert event["type"] == "session.error"
    assert event["properties"] == {"sessionID": conversation}


@pytest.mark.parametrize("target", ["/event?directory=/other", "/api/event", "/session"])
def test_whom_no_turn_concerns_is_told_of_none(target: str) -> None:
    assert told(target) == []
