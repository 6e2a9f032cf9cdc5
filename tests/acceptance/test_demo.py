"""`make demo` as a newcomer runs it: the link that it prints, and a chat, with either engine."""

import sys
from pathlib import Path

import httpx
import pytest

from tests.support.deployment import deployed

pytestmark = pytest.mark.opencode

_DEMO = (sys.executable, "-m", "demo")


async def test_a_newcomer_follows_the_link_and_chats(
    each_engine: str, tmp_path: Path, opencode_binary: Path
) -> None:
    async with (
        deployed(tmp_path / "state", each_engine, _DEMO) as demo,
        httpx.AsyncClient(base_url=demo.base_url, timeout=120) as browser,  # noqa: TID251
    ):
        entered = await browser.get(demo.link)
        sessions = (await browser.get("/api/sessions")).json()["sessions"]
        told = await browser.post(
            f"/api/sessions/{sessions[0]['id']}/chat", json={"prompt": "Is anybody there?"}
        )

    assert entered.status_code == 303
    assert [session["title"] for session in sessions] == ["Try me"]
    assert told.status_code == 200, told.text
    assert told.json()["route"] == "session"
    assert "You said: Is anybody there?" in told.json()["message"]["text"]
