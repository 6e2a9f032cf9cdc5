"""Opening a conversation where it lives, or a new one where one can be had.

The same rule as the relay's: a conversation stays with the upstream that created it, and only what
no upstream has seen may go to the shared service. It knows no prompt, no answer and no client.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from gateway.errors import GatewayError
from gateway.news import ConversationShared
from gateway.opencode_client import Conversation, OpenCode, Server, opencode
from gateway.parts import Parts
from gateway.routing import Upstream, gives_way
from gateway.use import Use

logger = logging.getLogger(__name__)

_RETRY_AFTER_S = 5
_CONNECT_WITHIN_S = 5


@dataclass(frozen=True, slots=True)
class Talk:
    """An open conversation, and the route to it by the name that answers carry."""

    server: OpenCode
    conversation: Conversation
    route: str


@asynccontextmanager
async def open_talk(
    parts: Parts, session_id: str, conversation_id: str | None
) -> AsyncIterator[Talk]:
    server, route, use = await _choose(parts, session_id, conversation_id)
    with use.by_a_turn():
        async with opencode(server) as client:
            conversation = await _open(parts, client, session_id, conversation_id, route)
            yield Talk(client, conversation, route)


async def _open(
    parts: Parts, client: OpenCode, session_id: str, conversation_id: str | None, route: str
) -> Conversation:
    if conversation_id is not None:
        return await client.find_conversation(conversation_id)
    conversation = await client.start_conversation()
    if route != "session":
        parts.changes.make(ConversationShared(conversation.id, session_id))
        await parts.conversations.keep(conversation.id, session_id)
    return conversation


async def _choose(
    parts: Parts, session_id: str, conversation_id: str | None
) -> tuple[Server, str, Use]:
    shared = _shared(parts)
    if conversation_id and parts.conversations.is_shared(conversation_id, session_id):
        if shared is None:
            raise _unavailable("the shared service that holds it is not configured any more.")
        return shared, "shared; reason=conversation", Use()
    try:
        upstream = await _container(parts, session_id)
        return _server(upstream), "session", upstream.use
    except GatewayError as error:
        if not gives_way(error.code):
            raise
        if conversation_id is not None:
            raise _unavailable(error.message, error) from error
        if shared is None:
            raise
        parts.metrics.fallback(error.code)
        logger.warning("served by the shared service session=%s reason=%s", session_id, error.code)
        return shared, f"shared; reason={error.code}", Use()


async def _container(parts: Parts, session_id: str) -> Upstream:
    place = await parts.directory.ensure(session_id)
    if place.upstream is not None and not await _accepts(place.upstream):
        # Believed to be ready, but nothing listens: have it looked at, then start it again.
        await parts.directory.verify(session_id)
        place = await parts.directory.ensure(session_id)
    if place.upstream is None:
        raise GatewayError("container_unavailable", place.why, retry_after_s=_RETRY_AFTER_S)
    return place.upstream


def _server(upstream: Upstream) -> Server:
    return Server(f"http://{upstream.host}:{upstream.port}", upstream.authorization)


async def _accepts(upstream: Upstream) -> bool:
    """Find out before anything is sent that must not be sent twice."""
    try:
        with anyio.fail_after(_CONNECT_WITHIN_S):
            stream = await anyio.connect_tcp(upstream.host, upstream.port)
    except OSError:
        return False
    await stream.aclose()
    return True


def _shared(parts: Parts) -> Server | None:
    service = parts.settings.shared
    if service is None or parts.shared is None:
        return None
    return Server(service.url, parts.shared.authorization)


def _unavailable(why: str, cause: GatewayError | None = None) -> GatewayError:
    wait = cause.data.get("retry_after_s") if cause else None
    return GatewayError(
        "conversation_unavailable",
        f"This conversation cannot be reached now, and no other place has it: {why}",
        retry_after_s=wait or _RETRY_AFTER_S,
        reason=cause.code if cause else "shared_unavailable",
    )
