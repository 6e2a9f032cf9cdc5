"""How a session is made of an agent, whose it is, and how it is shown with where it lives.

For the API and the commands. It knows no HTTP and starts no container.
"""

from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from gateway import fields, prospects
from gateway.accounts import hash_token, is_id, new_id, new_token
from gateway.errors import GatewayError
from gateway.prospects import View
from gateway.roster import Session
from gateway.store import Agent, Store
from gateway.times import rfc3339

_LONGEST_TITLE = 200
# Nobody outside waits for these two: to them the container is simply not running any more.
_SHOWN = {"stopping": "stopped", "removing": "stopped"}
_LIFE = ("next", "idle_since", "awake_until", "queue", "memory_bytes")
_TIMINGS = ("queue_s", "create_s", "boot_s", "ready_s")


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


def to_json(
    session: Session, view: View, base_url: str, now: datetime, *, fresh: bool
) -> dict[str, Any]:
    """A session as its owner may see it; `view` has the shape of the orchestrator's answers."""
    state = view["state"]
    since = view.get("since")
    shown: dict[str, Any] = {
        "id": session.id,
        "agent_id": session.agent_id,
        "title": session.title,
        "state": _SHOWN.get(state, state),
        "why": prospects.why(view, now, fresh=fresh),
        "container": f"agent_{session.id}",
        "base_url": base_url,
        "created_at": rfc3339(session.created_at),
        "since": rfc3339(datetime.fromisoformat(since) if since else session.created_at),
        **{name: view.get(name) for name in _LIFE},
        "busy": list(view.get("busy") or ()),
        "timings": {name: (view.get("timings") or {}).get(name) for name in _TIMINGS},
    }
    # Not so much a phase of a start as of an end; the state alone would call it over.
    phase = state if state in _SHOWN else view.get("phase")
    if view.get("workspace") is not None:
        shown["open_path"] = open_path(view["workspace"])
    if phase is not None:
        shown["phase"] = phase
    if view.get("problem") is not None:
        shown["problem"] = view["problem"]
    if view.get("retry_after_s") is not None:
        shown["retry_after_s"] = round(view["retry_after_s"], 1)
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
