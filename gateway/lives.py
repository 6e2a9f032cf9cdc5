"""Sessions as they are shown, each with how its container lives now.

That is asked of the orchestrator for a second; where it does not answer, what the directory knows
stands in its place. It starts and changes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio

from gateway import sessions
from gateway.errors import GatewayError
from gateway.orchestrator_client import View
from gateway.parts import Parts
from gateway.roster import Session
from gateway.routing import Place, State
from gateway.times import rfc3339

# A page asks again soon; a person who waits for one would rather know that something is amiss.
_PATIENCE_S = 1.0


async def shown(p: Parts, session: Session) -> dict[str, Any]:
    return (await shown_all(p, [session]))[0]


async def shown_all(p: Parts, found: Sequence[Session]) -> list[dict[str, Any]]:
    views = await _asked(p, [session.id for session in found])
    return [_shown(p, session, views) for session in found]


def shown_as(p: Parts, session: Session, view: View) -> dict[str, Any]:
    """Show a session by a view that the orchestrator has just given."""
    now = datetime.now(tz=UTC)
    return sessions.to_json(session, view, p.settings.public_url, now, fresh=True)


def _shown(p: Parts, session: Session, views: Mapping[str, View] | None) -> dict[str, Any]:
    place = p.directory.place(session.id)
    view = views.get(session.id) if views else None
    if view is None or _knows_better(place, view):
        view = _of_place(place, anyio.current_time())
    now = datetime.now(tz=UTC)
    return sessions.to_json(session, view, p.settings.public_url, now, fresh=views is not None)


async def _asked(p: Parts, ids: Sequence[str]) -> Mapping[str, View] | None:
    """Return the views of those that the orchestrator knows; None if it does not answer."""
    if not ids:
        return {}
    try:
        with anyio.fail_after(_PATIENCE_S):
            views = await p.directory.client.show_many(ids)
    except (GatewayError, TimeoutError):
        return None
    return {view["session_id"]: view for view in views}


def _knows_better(place: Place, view: View) -> bool:
    """Whether a start was begun or refused here that the orchestrator's view does not show."""
    begun = place.state is State.STARTING and place.phase == "queued"
    if not begun and place.problem is None:
        return False
    return view["generation"] <= place.generation and view["state"] not in ("starting", "ready")


def _of_place(place: Place, now: float) -> View:
    """What the gateway knows by itself, in a view's shape; `now` is of the monotonic clock."""
    return {
        "state": str(place.state),
        "why": place.why,
        "phase": place.phase,
        "since": rfc3339(place.since) if place.since else None,
        "workspace": place.workspace,
        "problem": place.problem,
        "retry_after_s": None if place.retry_at is None else max(0.0, place.retry_at - now),
    }
