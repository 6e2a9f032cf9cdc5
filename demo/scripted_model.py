"""A model that costs nothing and answers the same each time: a small OpenAI-compatible server.

What it does is said by how the prompt begins:
    stream for N seconds    a word every half second, for so long
    run: COMMAND            asks for the bash tool, then tells what the command printed
    fail                    answers with an error that is not worth a retry
    hang                    never answers
and any other prompt gets a friendly answer that repeats it. It knows nothing of OpenCode.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

MODEL = "scripted"

_STREAM = re.compile(r"stream for (\d+) seconds?", re.IGNORECASE)
_RUN = re.compile(r"run: *(.+)", re.IGNORECASE)
_WORD_EVERY_S = 0.5

Chunk = dict[str, Any]


class ScriptedModel:
    """Serves `app` to whoever holds the key; `authorizations` is what callers presented."""

    def __init__(self, key: str) -> None:
        self.authorizations: list[str] = []
        self.prompts: list[str] = []
        self._key = key
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._models),
            ]
        )

    async def _models(self, _request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    async def _complete(self, request: Request) -> Response:
        presented = request.headers.get("authorization", "")
        self.authorizations.append(presented)
        if presented != f"Bearer {self._key}":
            return _error(401, "This key is not the scripted model's.")
        body = await request.json()
        messages = body["messages"]
        prompt = _last_prompt(messages)
        if not body.get("tools"):  # OpenCode asks for a title this way, beside the turn itself
            return _streamed(_words([_title(prompt)]))
        if messages[-1]["role"] == "tool":
            return _streamed(_words(["It printed: ", _text(messages[-1]["content"])]))
        self.prompts.append(prompt)
        return await _answer(prompt)


async def _answer(prompt: str) -> Response:
    if streaming := _STREAM.match(prompt):
        return _streamed(_slowly(int(streaming[1])))
    if running := _RUN.match(prompt):
        return _streamed(_tool_call(running[1]))
    if prompt.lower().startswith("fail"):
        return _error(400, "The scripted model was asked to fail.")
    if prompt.lower().startswith("hang"):
        await anyio.sleep_forever()
    return _streamed(_words(["Hello! ", "I am a scripted model. ", "You said: ", prompt]))


async def _words(words: Sequence[str]) -> AsyncIterator[Chunk]:
    for word in words:
        yield _choice({"content": word})
    yield _choice({}, "stop")


async def _slowly(seconds: int) -> AsyncIterator[Chunk]:
    deadline = anyio.current_time() + seconds
    count = 0
    while anyio.current_time() < deadline:
        count += 1
        yield _choice({"content": f"word {count} "})
        await anyio.sleep(min(_WORD_EVERY_S, max(0.0, deadline - anyio.current_time())))
    yield _choice({"content": "end."})
    yield _choice({}, "stop")


async def _tool_call(command: str) -> AsyncIterator[Chunk]:
    arguments = json.dumps({"command": command, "description": "Runs what the prompt asked for"})
    function = {"name": "bash", "arguments": arguments}
    call = {"index": 0, "id": "call_scripted", "type": "function", "function": function}
    yield _choice({"tool_calls": [call]})
    yield _choice({}, "tool_calls")


def _choice(delta: Mapping[str, Any], finish: str | None = None) -> Chunk:
    whole = {"role": "assistant", **delta}
    return {"choices": [{"index": 0, "delta": whole, "finish_reason": finish}]}


def _streamed(chunks: AsyncIterator[Chunk]) -> Response:
    return StreamingResponse(_events(chunks), media_type="text/event-stream")


async def _events(chunks: AsyncIterator[Chunk]) -> AsyncIterator[str]:
    head = {"id": "scripted", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
    async for chunk in chunks:
        yield f"data: {json.dumps(head | chunk)}\n\n"
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    yield f"data: {json.dumps(head | {'choices': [], 'usage': usage})}\n\n"
    yield "data: [DONE]\n\n"


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"message": message, "type": "scripted"}}, status)


def _last_prompt(messages: Sequence[Mapping[str, Any]]) -> str:
    for message in reversed(messages):
        if message["role"] == "user":
            return _text(message["content"]).strip()
    return ""


def _text(content: str | Sequence[Mapping[str, Any]]) -> str:
    """A message is text, or a list of parts of which some are."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


def _title(prompt: str) -> str:
    first = prompt.strip().splitlines()[-1] if prompt.strip() else "Conversation"
    return first[:40]
