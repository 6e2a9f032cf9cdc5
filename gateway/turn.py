"""One turn of a conversation: a prompt, and its answer told while it is being written.

The answer itself comes as one long response; the events beside it are only how it is heard early.
This module knows OpenCode's events and messages, and nothing of HTTP, sessions or fallback.
"""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import anyio

from gateway.errors import GatewayError
from gateway.opencode_client import Conversation, Event, OpenCode, complaint

# An event that tells why a turn failed may come a moment after the response that it failed.
_REASON_WITHIN_S = 1.0
# OpenCode asks a provider that does not answer again for ever. The time since it first did so
# without hearing from the model, not since the last time: it waits longer before each.
RETRYING_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    text: str


Hear = Callable[[str], Awaitable[None]]


async def take_turn(
    server: OpenCode, conversation: Conversation, prompt: str, hear: Hear
) -> Message:
    """Return the turn's last message; `hear` gets the text as it comes, "" as a sign of life.

    All of the returned text has been heard by then, even if the events broke off.
    """
    turn = _Turn(conversation.id, hear)
    async with server.events(conversation) as events:
        return await turn.run(server, conversation, events, prompt)


class _Turn:
    def __init__(self, conversation_id: str, hear: Hear) -> None:
        self._conversation_id = conversation_id
        self._hear = hear
        self._speaking = anyio.Lock()
        self._text_parts: set[str] = set()
        self._message_id = ""
        self._written = ""
        self._reason: str | None = None
        self._reason_known = anyio.Event()
        self._patience = anyio.CancelScope()
        self._retrying_because = ""

    async def run(
        self,
        server: OpenCode,
        conversation: Conversation,
        events: AsyncIterator[Event],
        prompt: str,
    ) -> Message:
        outcome: Message | GatewayError
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, events)
            # What leaves this block as an exception would leave it in a group.
            outcome = await self._outcome(server, conversation, prompt)
            # Between two deltas: each has been told whole, or counts as not told.
            async with self._speaking:
                tasks.cancel_scope.cancel()
        if isinstance(outcome, GatewayError):
            raise outcome
        await self._say_the_rest(outcome)
        return outcome

    async def _outcome(
        self, server: OpenCode, conversation: Conversation, prompt: str
    ) -> Message | GatewayError:
        try:
            with self._patience:
                return _message(await server.prompt(conversation, prompt))
        except GatewayError as error:
            return await self._with_reason(error)
        with suppress(GatewayError):  # what the turn failed of tells more
            await server.abort(conversation)
        return _turn_failed(self._retrying_because)

    async def _with_reason(self, error: GatewayError) -> GatewayError:
        """Prefer the reason of the events: a response may only say that something went wrong."""
        if error.code == "model_failed":
            with anyio.move_on_after(_REASON_WITHIN_S):
                await self._reason_known.wait()
        return _turn_failed(self._reason) if self._reason else error

    async def _listen(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            kind, properties = event.get("type"), event.get("properties") or {}
            if kind == "server.heartbeat":
                await self._hear("")
            elif properties.get("sessionID") == self._conversation_id:
                self._mind_retries(kind, properties)
                await self._notice(kind, properties)

    def _mind_retries(self, kind: object, properties: dict[str, Any]) -> None:
        match kind, properties:
            case "session.status", {"status": {"type": "retry", "message": str(message)}}:
                self._retrying_because = message
                latest = anyio.current_time() + RETRYING_WITHIN_S
                self._patience.deadline = min(self._patience.deadline, latest)
            # Neither "busy" nor a step that begins: each attempt starts with them.
            case ("message.part.delta", _) | ("message.part.updated", {"part": {"type": "tool"}}):
                self._patience.deadline = math.inf

    async def _notice(self, kind: object, properties: dict[str, Any]) -> None:
        match kind, properties:
            case "message.part.updated", {"part": {"type": "text", "id": str(part_id)}}:
                self._text_parts.add(part_id)
            case (
                "message.part.delta",
                {"partID": part_id, "messageID": str(message_id), "delta": str(text)},
            ) if part_id in self._text_parts:
                await self._write(message_id, text)
            case "session.error", {"error": error}:
                self._reason = complaint(error)
                self._reason_known.set()

    async def _write(self, message_id: str, text: str) -> None:
        async with self._speaking:
            if message_id != self._message_id:
                self._message_id, self._written = message_id, ""
            await self._hear(text)
            self._written += text

    async def _say_the_rest(self, message: Message) -> None:
        written = self._written if message.id == self._message_id else ""
        rest = message.text.removeprefix(written)
        if rest and message.text.startswith(written):
            await self._hear(rest)


def _message(answer: dict[str, Any]) -> Message:
    match answer:
        case {"info": {"error": dict(error)}}:
            raise _turn_failed(complaint(error) or "OpenCode did not say why.")
        case {"info": {"id": str(message_id)}, "parts": list(parts)}:
            texts = [part["text"] for part in parts if part.get("type") == "text"]
            return Message(message_id, "".join(texts))
    raise GatewayError("upstream_failed", "OpenCode's answer is not a message.")


def _turn_failed(reason: str) -> GatewayError:
    return GatewayError("model_failed", f"The turn failed: {reason}")
