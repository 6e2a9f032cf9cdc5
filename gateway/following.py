"""What is learned from the store: what commands and other gateways ended or made meanwhile.

Nobody tells of that, so the store is looked at every second, whole but by ids alone. It decides
nothing: what is found becomes news that this worker takes in by itself, as all others do.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import anyio

from gateway.absent import session_key
from gateway.errors import GatewayError
from gateway.news import (
    AgentMade,
    AgentRemoved,
    ConversationShared,
    LoginEnded,
    News,
    SessionRemoved,
    UserRemoved,
)
from gateway.parts import Parts
from gateway.roster import Contents, User

LOOK_EVERY_S = 1.0
# Machines that share a database do not share a clock.
_CLOCKS_DIFFER = timedelta(minutes=1)


async def follow(parts: Parts) -> None:
    """Look at the store again and again until cancelled."""
    while True:
        await anyio.sleep(LOOK_EVERY_S)
        # Shielded: a driver that is cancelled within a query may never let go of its connection.
        # The store has logged why it can't be read; a later look catches up.
        with anyio.CancelScope(shield=True), suppress(GatewayError):
            await look(parts)
            await parts.removals.finish()


async def look(parts: Parts) -> None:
    # Before the store is asked: whoever comes in meanwhile is in the store first.
    known = parts.roster.contents()
    recent = datetime.now(tz=UTC) - _CLOCKS_DIFFER
    for news in changed(known, await parts.store.contents()):
        parts.changes.take(news)
    for conversation_id, session_id in await parts.store.shared_conversations(recent):
        parts.changes.take(ConversationShared(conversation_id, session_id))


def changed(known: Contents, stored: Contents) -> Iterator[News]:
    """Yield what the store tells against what is known. New logins and sessions show when they are
    asked for; of an agent only its being there counts."""
    for login_id in known.logins - stored.logins:
        yield LoginEnded(login_id)
    for session_id in known.sessions - stored.sessions:
        yield SessionRemoved(session_id)
    for user_id in known.users - stored.users:
        yield UserRemoved(user_id)
    for user_id, agent_id in stored.agents - known.agents:
        yield AgentMade(user_id, agent_id)
    for user_id, agent_id in known.agents - stored.agents:
        yield AgentRemoved(user_id, agent_id)


async def catch_up(parts: Parts, user: User) -> None:
    """Take into the roster all that is this user's, whoever made it; but not what is leaving."""
    sessions = await parts.store.sessions_of(user.id)
    agents = await parts.store.agents_of(user.id)
    staying = [s for s in sessions if session_key(s.id) not in parts.changes.absent]
    parts.roster.load([user], [], staying, [(user.id, agent.id) for agent in agents])
