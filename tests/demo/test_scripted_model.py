"""The scripted model, asked as OpenCode asks it."""

import json
import time
from typing import Any

import httpx
import pytest

from demo.scripted_model import ScriptedModel
from tests.support.serving import serve

_KEY = "a key"


async def _asked(
    prompt: str, *more: dict[str, Any], key: str = _KEY, tools: bool = True
) -> httpx.Response:
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": prompt}, *more]
    body = {"model": "scripted", "stream": True, "messages": messages}
    async with (
        serve(ScriptedModel(_KEY).app) as url,
        httpx.AsyncClient(base_url=url, timeout=10) as client,  # noqa: TID251
    ):
        return await client.post(
            "/v1/chat/completions",
            json=body | ({"tools": [{"type": "function"}]} if tools else {}),
            headers={"Authorization": f"Bearer {key}"},
        )


def _deltas(answer: httpx.Response) -> list[dict[str, Any]]:
    events = [line[6:] for line in answer.text.splitlines() if line.startswith("data: {")]
    return [choice["delta"] for event in events for choice in json.loads(event)["choices"]]


def _text(answer: httpx.Response) -> str:
    return "".join(delta.get("content", "") for delta in _deltas(answer))


async def test_any_prompt_is_answered_and_repeated() -> None:
    answer = await _asked("good morning")

    assert _text(answer).endswith("You said: good morning")
    assert answer.text.endswith("data: [DONE]\n\n")


async def test_a_title_is_asked_for_without_tools() -> None:
    assert _text(await _asked("good morning", tools=False)) == "good morning"


async def test_a_command_becomes_a_call_of_the_bash_tool() -> None:
    answer = await _asked("run: ls -la")

    call = _deltas(answer)[0]["tool_calls"][0]["function"]
    assert call["name"] == "bash"
    assert json.loads(call["arguments"])["command"] == "ls -la"
    assert '"finish_reason": "tool_calls"' in answer.text


async def test_what_the_tool_printed_is_told() -> None:
    answer = await _asked("run: ls", {"role": "tool", "content": "a.txt"})

    assert _text(answer) == "It printed: a.txt"


async def test_a_stream_lasts_as_long_as_it_was_asked_to() -> None:
    began = time.monotonic()

    answer = await _asked("stream for 1 second")

    assert time.monotonic() - began >= 1
    assert _text(answer) == "word 1 word 2 end."


@pytest.mark.parametrize(("prompt", "key", "status"), [("fail", _KEY, 400), ("hi", "other", 401)])
async def test_errors_are_in_the_providers_shape(prompt: str, key: str, status: int) -> None:
    answer = await _asked(prompt, key=key)

    assert answer.status_code == status
    assert answer.json()["error"]["message"]
