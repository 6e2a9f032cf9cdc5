"""One prompt to a session's conversation, one answer back: whole, or told while it is written.

Both are ASGI answers of their own, because both must end with their client: Starlette would let a
turn run on for nobody. Where the conversation lives and how a turn goes is known elsewhere.
"""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from gateway import fields
from gateway.api.callers import session_for_its_token
from gateway.errors import GatewayError
from gateway.parts import Parts, parts
from gateway.talk import Talk, open_talk
from gateway.turn import Message, take_turn

T = TypeVar("T")

_LONGEST_PROMPT_BYTES = 1024 * 1024
_LONGEST_BODY_BYTES = 8 * _LONGEST_PROMPT_BYTES  # a byte of a prompt may come as `\u0000`
_CONVERSATION_ID = re.compile(r"ses_[0-9A-Za-z]{1,64}")
_ROUTE_HEADER = "X-OpenCode-Gateway-Route"
_STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
}


@dataclass(frozen=True, slots=True)
class Question:
    session_id: str
    prompt: str
    conversation_id: str | None


async def chat(request: Request) -> "WholeAnswer | StreamedAnswer":
    session = await session_for_its_token(request)
    question = _question(session.id, await _json(request))
    streamed = "text/event-stream" in request.headers.get("accept", "").lower()
    return (StreamedAnswer if streamed else WholeAnswer)(parts(request), question)


class WholeAnswer:
    """One JSON object, once the turn is over."""

    def __init__(self, parts: Parts, question: Question) -> None:
        self._parts = parts
        self._question = question

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await _unless_gone(receive, self._answer)
        if answer is not None:
            headers = {_ROUTE_HEADER: answer["route"], "Cache-Control": "no-store"}
            await JSONResponse(answer, headers=headers)(scope, receive, send)

    async def _answer(self) -> dict[str, Any]:
        question = self._question
        async with open_talk(self._parts, question.session_id, question.conversation_id) as talk:
            message = await take_turn(talk.server, talk.conversation, question.prompt, _unheard)
        return _whole(question, talk, message)


class StreamedAnswer:
    """Events: deltas, then `done` or `error`. What fails before the turn is an ordinary error."""

    def __init__(self, parts: Parts, question: Question) -> None:
        self._parts = parts
        self._question = question

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        await _unless_gone(receive, lambda: self._stream(send))

    async def _stream(self, send: Send) -> None:
        question = self._question
        async with open_talk(self._parts, question.session_id, question.conversation_id) as talk:
            await send(_stream_start(talk.route))
            try:
                message = await take_turn(
                    talk.server, talk.conversation, question.prompt, _hear_into(send)
                )
            except GatewayError as error:
                last = _event("error", error.to_json())
            else:
                last = _event("done", _whole(question, talk, message))
            await send(_piece(last, more=False))


async def _json(request: Request) -> object:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LONGEST_BODY_BYTES:
                raise GatewayError("body_too_large", "A prompt may have 1 MiB.")
        return json.loads(body)
    except (ValueError, RecursionError, ClientDisconnect):
        raise GatewayError("invalid_json", "The body is not valid JSON in UTF-8.") from None


def _question(session_id: str, body: object) -> Question:
    if not isinstance(body, dict):
        raise GatewayError("invalid_request", "The body must be a JSON object.")
    fields.only(body, ("prompt", "conversation_id"))
    prompt, conversation_id = fields.need(body, "prompt"), body.get("conversation_id")
    return Question(session_id, _prompt(prompt), _conversation_id(conversation_id))


def _prompt(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise fields.refuse("prompt", "prompt must be text, and not empty.")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can spell
        raise fields.refuse("prompt", "prompt must be text that UTF-8 can hold.") from None
    if size > _LONGEST_PROMPT_BYTES:
        raise GatewayError("body_too_large", "A prompt may have 1 MiB.", field="prompt")
    return value


def _conversation_id(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise fields.refuse("conversation_id", "conversation_id must be text.")
    if not _CONVERSATION_ID.fullmatch(value):
        raise GatewayError("conversation_not_found", "No conversation has such an id.")
    return value


async def _unless_gone(receive: Receive, work: Callable[[], Awaitable[T]]) -> T | None:
    """Do the work unless the client leaves: that ends it, and its upstream streams with it."""
    failure: GatewayError | None = None
    result: T | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_once_gone, receive, tasks.cancel_scope)
        try:
            result = await work()
        except GatewayError as error:
            failure = error  # raised below: the group would wrap it
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return result


async def _cancel_once_gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
    scope.cancel()


def _whole(question: Question, talk: Talk, message: Message) -> dict[str, Any]:
    return {
        "session_id": question.session_id,
        "conversation_id": talk.conversation.id,
        "message": {"id": message.id, "text": message.text},
        "route": talk.route,
    }


def _stream_start(route: str) -> dict[str, Any]:
    headers = {**_STREAM_HEADERS, _ROUTE_HEADER: route}
    encoded = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http.response.start", "status": 200, "headers": encoded}


def _hear_into(send: Send) -> Callable[[str], Awaitable[None]]:
    async def hear(text: str) -> None:
        # A comment tells the proxies on the way that a silent turn is still alive.
        await send(_piece(_event("delta", {"text": text}) if text else b": alive\n\n"))

    return hear


def _piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _event(name: str, content: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(content)}\n\n".encode()


async def _unheard(_text: str) -> None:
    return


routes: list[BaseRoute] = [Route("/api/sessions/{session_id}/chat", chat, methods=["POST"])]
