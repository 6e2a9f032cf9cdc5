"""How a session is made of an agent, whose it is, and how it is shown with where it lives.

For the API and the commands. It knows no HTTP and starts no container.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway import fields
from gateway.accounts import hash_token, is_id, new_id, new_token
from gateway.errors import GatewayError
from gateway.roster import Session
from gateway.routing import Place, State
from gateway.store import Agent, Store
from gateway.times import rfc3339

_LONGEST_TITLE = 200
# Nobody outside waits for these two: to them the container is simply not running any more.
_SHOWN = {State.STOPPING: State.STOPPED, State.REMOVING: State.STOPPED}


async def create_session(
    store: Store, user_id: str, agent_id: str | None, title: str
) -> tuple[Session, str]:
    """Make a session and return it with its access token, which is kept nowhere."""
    agent = _chosen(await store.agents_of(user_id), agent_id)
    token = new_token()
    session = Session(
        id=new_id(),
        user_id=user_id,
        agent_id=agent.id,
        title=fields.line("title", title, _LONGEST_TITLE, least=0),
        token_hash=hash_token(token),
        created_at=datetime.now(tz=UTC),
    )
    await store.add_session(session)
    return session, token


async def owned_session(store: Store, user_id: str, session_id: str) -> Session:
    """Return the user's session; another's is as if it did not exist."""
    session = await store.session(session_id) if is_id(session_id) else None
    if session is None or session.user_id != user_id:
        raise GatewayError("session_not_found", "You have no session with this id.")
    return session


def to_json(session: Session, place: Place, base_url: str, now: float) -> dict[str, Any]:
    """A session as its owner may see it; `now` is of the clock that `place.retry_at` is of."""
    shown: dict[str, Any] = {
        "id": session.id,
        "agent_id": session.agent_id,
        "title": session.title,
        "state": str(_SHOWN.get(place.state, place.state)),
        "why": place.why,
        "container": f"agent_{session.id}",
        "base_url": base_url,
        "created_at": rfc3339(session.created_at),
        "since": rfc3339(place.since or session.created_at),
    }
    if place.workspace is not None:
        shown["open_path"] = open_path(place.workspace)
    if place.phase is not None:
        shown["phase"] = place.phase
    if place.retry_at is not None:
        shown["retry_after_s"] = round(max(0.0, place.retry_at - now), 1)
    return shown


def open_path(workspace: str) -> str:
    """Where OpenCode's web UI shows this folder; its front page knows none until one is added."""
    return f"/{urlsafe_b64encode(workspace.encode()).decode().rstrip('=')}/session"


def _chosen(agents: Sequence[Agent], agent_id: str | None) -> Agent:
    if not agents:
        raise GatewayError(
            "agent_required",
            "A session needs an agent and you have none: create one at /gateway/agents.",
            create_url="/gateway/agents",
        )
    if agent_id is not None:
        for agent in agents:
            if agent.id == agent_id:
                return agent
        raise GatewayError("agent_not_found", "You have no agent with this id.", field="agent_id")
    if len(agents) > 1:
        raise fields.refuse("agent_id", "You have several agents: say which with agent_id.")
    return agents[0]
