"""Reading OpenCode's event stream: whatever the pieces, and however a line is written."""

import json

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.events import Event, Lines, read
from tests.orchestrator import captured
from tests.orchestrator.captured import CONVERSATION, WORKSPACE

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_a_delta_is_known_by_its_beginning_and_not_by_what_the_model_wrote() -> None:
    assert read(captured.DELTA) == Event("message.part.delta", CONVERSATION)


def test_what_changes_something_is_read_whole() -> None:
    event = read(captured.BUSY)

    assert event is not None
    assert (event.type, event.conversation, event.directory) == (
        "session.status",
        CONVERSATION,
        WORKSPACE,
    )
    assert event.properties["status"] == {"type": "busy"}


def test_another_order_of_the_same_event_is_understood_as_well() -> None:
    payload = {"properties": {"status": {"type": "busy"}, "sessionID": "s"}, "type": "session.idle"}
    event = read(b"data: " + json.dumps({"payload": payload, "directory": "/d"}).encode())

    assert event is not None
    assert (event.type, event.conversation, event.directory) == ("session.idle", "s", "/d")


def test_comments_blank_lines_and_broken_json_are_no_events() -> None:
    for line in (b"", b": heartbeat", b"id: 1", b"data: {", b'data: {"payload":[]}', b"data: 3"):
        assert read(line) is None


@given(anything)
def test_no_json_is_too_strange_to_be_read(value: object) -> None:
    read(b"data: " + json.dumps({"payload": value}).encode())
    read(b"data: " + json.dumps({"payload": {"type": "pty.created", "properties": value}}).encode())


@given(st.binary())
def test_no_bytes_are_too_strange_to_be_read(raw: bytes) -> None:
    read(b'data: {"payload":{"type":"' + raw)


@given(st.lists(st.integers(min_value=0, max_value=400)))
def test_lines_are_the_same_however_they_arrive(cuts: list[int]) -> None:
    whole = b"\n".join([captured.BUSY, b"", captured.DELTA, b"", b"not yet ended"])
    places = sorted({min(cut, len(whole)) for cut in cuts})
    pieces = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    lines = Lines()

    got = [line for piece in pieces for line in lines.fed(piece)]

    assert got == [captured.BUSY, b"", captured.DELTA, b""]


def test_an_endless_line_takes_no_endless_memory_and_its_kind_is_still_known() -> None:
    lines = Lines()
    begun = captured.DELTA.removesuffix(b'"}}}')
    for piece in (begun, *[b"x" * (1 << 20)] * 3):
        assert list(lines.fed(piece)) == []

    (line,) = lines.fed(b'"}}}\n')
    assert len(line) == 1 << 20
    assert read(line) == Event("message.part.delta", CONVERSATION)
