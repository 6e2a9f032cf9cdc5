"""A session as its owner sees it."""

from datetime import UTC, datetime

from gateway.roster import Session
from gateway.routing import Place, State
from gateway.sessions import to_json

SESSION = Session("s1", "u1", "a1", "Mine", "hash", datetime(2026, 1, 2, tzinfo=UTC))


def test_ready_session_tells_where_the_web_ui_shows_its_workspace() -> None:
    place = Place(State.READY, workspace="/workspace")

    assert to_json(SESSION, place, "http://gw", 0)["open_path"] == "/L3dvcmtzcGFjZQ/session"


def test_session_that_is_not_ready_has_no_such_place() -> None:
    assert "open_path" not in to_json(SESSION, Place(State.STOPPED), "http://gw", 0)
