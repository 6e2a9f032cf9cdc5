"""A session as its owner sees it."""

from datetime import UTC, datetime
from typing import Any

from gateway.roster import Session
from gateway.sessions import to_json

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SESSION = Session("s1", "u1", "a1", "Mine", "hash", NOW)


def _shown(state: str, **told: Any) -> dict[str, Any]:
    view = {"state": state, "why": "It is so.", **told}
    return to_json(SESSION, view, "http://gw", NOW, fresh=True)


def test_ready_session_tells_where_the_web_ui_shows_its_workspace() -> None:
    assert _shown("ready", workspace="/workspace")["open_path"] == "/L3dvcmtzcGFjZQ/session"


def test_session_that_is_not_ready_has_no_such_place() -> None:
    assert "open_path" not in _shown("stopped", workspace=None)


def test_a_view_of_an_older_orchestrator_lacks_nothing_that_is_promised() -> None:
    shown = _shown("ready", timings={"boot_s": 2.0})

    assert shown["timings"] == {"queue_s": None, "create_s": None, "boot_s": 2.0, "ready_s": None}
    assert (shown["next"], shown["busy"], shown["memory_bytes"]) == (None, [], None)
