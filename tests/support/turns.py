"""Turns of OpenCode's, as its own clients begin and follow them: prompt and leave, listen, read."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from tests.support.desk import Desk


@dataclass(frozen=True, slots=True)
class Answer:
    """A conversation's last message; the times are of the wall clock, `ended` None if it never
    did, `error` the name of what ended it instead."""

    text: str
    asked: float
    ended: float | None
    error: str | None


async def prompted(desk: Desk, prompt: str, **wish: Any) -> str:
    """Begin a turn in a new conversation, close every connection and return the conversation."""
    authorization = {"Authorization": f"Bearer {desk.access_token}"}
    async with httpx.AsyncClient(  # noqa: TID251 - somebody who leaves at once
        base_url=desk.base_url, headers=authorization, timeout=120
    ) as passer_by:
        made = await passer_by.post("/session", json=wish)
        assert made.status_code == 200, made.text
        conversation: str = made.json()["id"]
        parts = [{"type": "text", "text": prompt}]
        path = f"/session/{conversation}/prompt_async"
        taken = await passer_by.post(path, json={"parts": parts})
        assert taken.status_code == 204, taken.text
    return conversation


async def answer(desk: Desk, conversation: str) -> Answer:
    """Read how a conversation stands. This is a request like any other, and wakes the container."""
    messages = await desk.own("GET", f"/session/{conversation}/message")
    asked, last = messages[-1]["info"], messages[-1]
    for message in messages:
        if message["info"]["role"] == "user":
            asked = message["info"]
    texts = [part["text"] for part in last["parts"] if part["type"] == "text"]
    ended, error = last["info"]["time"].get("completed"), last["info"].get("error")
    return Answer(
        "".join(texts),
        asked["time"]["created"] / 1000,
        None if ended is None else ended / 1000,
        None if error is None else error["name"],
    )


class Heard:
    """An open event stream."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(
        self, kind: str, conversation: str | None = None, within_s: float = 60
    ) -> dict[str, Any]:
        """Listen on until an event of this kind comes, of this conversation if one is named."""
        with anyio.fail_after(within_s):
            while True:
                line = await anext(self._lines)
                if not line.startswith("data: "):
                    continue
                event: dict[str, Any] = json.loads(line.removeprefix("data: "))["payload"]
                about = event.get("properties", {}).get("sessionID")
                if event["type"] == kind and conversation in (None, about):
                    return event


@asynccontextmanager
async def listening(desk: Desk) -> AsyncIterator[Heard]:
    """Keep one event stream open while the body runs."""
    async with desk.http.stream("GET", "/global/event") as stream:
        assert stream.status_code == 200
        heard = Heard(stream.aiter_lines())
        await heard.next("server.connected")
        yield heard
