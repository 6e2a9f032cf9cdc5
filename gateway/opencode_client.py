"""Our own calls to an OpenCode server: its conversations, its events, and one long prompt.

What goes wrong is told as a GatewayError. It does not know which upstream to choose, who is asking,
or what an answer is made of.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from typing import Any

import anyio
import httpx

from gateway.errors import GatewayError

Client = httpx.AsyncClient  # noqa: TID251 - a new one for each prompt, shared with nobody
Event = dict[str, Any]

_CALL_TIMEOUT = httpx.Timeout(30, connect=5)
# OpenCode sends a heartbeat every 10 s; three of them missing is a server that is gone.
_EVENTS_TIMEOUT = httpx.Timeout(35, connect=5)
# A turn takes minutes, and not even headers are sent before it is over.
_TURN_TIMEOUT = httpx.Timeout(30, connect=5, read=None)

# Nobody is there to answer a question of the agent; `opencode run` denies it in the same way.
_RULES = [{"permission": "question", "pattern": "*", "action": "deny"}]


@dataclass(frozen=True, slots=True)
class Conversation:
    """`directory` is where OpenCode works on it; a prompt sent elsewhere loads other settings."""

    id: str
    directory: str


@dataclass(frozen=True, slots=True)
class Server:
    """Where an OpenCode answers, and the credential it wants; empty where it wants none."""

    url: str
    authorization: bytes = field(repr=False)


@asynccontextmanager
async def opencode(server: Server) -> AsyncIterator["OpenCode"]:
    """Speak to one server, over connections that nobody else uses."""
    # Most are plain HTTP: an empty context spares reading every CA for each prompt.
    tls = server.url.startswith("https:")
    async with Client(
        base_url=server.url,
        headers={b"Authorization": server.authorization} if server.authorization else None,
        trust_env=False,
        verify=tls or SSLContext(PROTOCOL_TLS_CLIENT),
    ) as client:
        yield OpenCode(client)


class OpenCode:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def start_conversation(self) -> Conversation:
        with _told_as_ours():
            response = await self._client.post(
                "/session", json={"permission": _RULES}, timeout=_CALL_TIMEOUT
            )
        return _conversation(_success(response))

    async def find_conversation(self, conversation_id: str) -> Conversation:
        with _told_as_ours():
            response = await self._client.get(f"/session/{conversation_id}", timeout=_CALL_TIMEOUT)
        return _conversation(_success(response))

    @asynccontextmanager
    async def events(self, conversation: Conversation) -> AsyncIterator[AsyncIterator[Event]]:
        """Subscribe to what happens around a conversation; nothing from here on is missed."""
        request = self._client.build_request(
            "GET",
            "/event",
            params={"directory": conversation.directory},
            timeout=_EVENTS_TIMEOUT,
        )
        with _told_as_ours():
            response = await self._client.send(request, stream=True)
        try:
            yield await _connected(response)
        finally:
            with anyio.CancelScope(shield=True):
                await response.aclose()

    async def prompt(self, conversation: Conversation, text: str) -> dict[str, Any]:
        """Send a prompt and wait, however long, for the last message of the turn."""
        with _told_as_ours():
            response = await self._client.post(
                f"/session/{conversation.id}/message",
                params={"directory": conversation.directory},
                json={"parts": [{"type": "text", "text": text}]},
                timeout=_TURN_TIMEOUT,
            )
        return _success(response, failure="model_failed")

    async def abort(self, conversation: Conversation) -> None:
        """End the turn, which would go on although nobody waits for its answer."""
        with _told_as_ours():
            await self._client.post(
                f"/session/{conversation.id}/abort",
                params={"directory": conversation.directory},
                timeout=_CALL_TIMEOUT,
            )


def _success(response: httpx.Response, failure: str = "upstream_failed") -> dict[str, Any]:
    """Return an answer's JSON object, or raise what it refused with, in its own words."""
    try:
        body = response.json()
    except ValueError:
        body = None
    if response.is_success and isinstance(body, dict):
        return body
    reason = complaint(body) or "it did not say why."
    if response.status_code == 404:
        raise GatewayError("conversation_not_found", "This session has no such conversation.")
    raise GatewayError(failure, f"OpenCode answered {response.status_code}: {reason}")


def complaint(error: object) -> str | None:
    """Return the sentence in an error of OpenCode's shape."""
    match error:
        case {"data": {"message": str(message)}} if message:
            return message
        case {"name": str(name)}:
            return name
    return None


def _conversation(body: Mapping[str, Any]) -> Conversation:
    match body:
        case {"id": str(conversation_id), "directory": str(directory)}:
            return Conversation(conversation_id, directory)
    raise GatewayError("upstream_failed", "What answers on OpenCode's port is not OpenCode.")


async def _connected(response: httpx.Response) -> AsyncIterator[Event]:
    """Read until the server says that it will tell everything from now on."""
    events = _parsed(response)
    if response.is_success:
        async for event in events:
            if event.get("type") == "server.connected":
                return events
    raise GatewayError("upstream_failed", "OpenCode does not tell what it is doing.")


async def _parsed(response: httpx.Response) -> AsyncIterator[Event]:
    """Yield the events of a stream; a broken stream ends, since no answer depends on it."""
    pending = b""
    try:
        async for chunk in response.aiter_raw():
            # Only at line feeds: `aiter_lines` also splits at U+2028, which JSON may contain.
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if line.startswith(b"data:"):
                    yield json.loads(line[5:])
    except (httpx.TransportError, ValueError):
        return


@contextmanager
def _told_as_ours() -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise GatewayError("upstream_failed", "OpenCode accepts no connection.") from error
    except httpx.TimeoutException as error:
        raise GatewayError("upstream_timeout", "OpenCode took too long to answer.") from error
    except httpx.TransportError as error:
        raise GatewayError(
            "upstream_failed",
            "The connection to OpenCode broke. Look into the conversation before you ask again: "
            "the prompt may have been carried out.",
        ) from error
