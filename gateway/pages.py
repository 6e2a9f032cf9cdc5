"""What a person sees of the gateway itself: signing in, agents, sessions, and a session starting.

A page carries no data that its script can ask the API for, so there is one source of it; the
starting page alone is complete without a script. Nothing here changes anything.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from math import ceil
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from gateway.credentials import Caller
from gateway.directory import Place
from gateway.parts import parts
from gateway.rendering import Assets, page

_HOME = "/gateway/"

# A path of this origin. A browser reads `//host` and `/\host` as another one, and drops tabs.
_OWN_PATH = re.compile(r"/(?![/\\])[!-\[\]-~]*")

_PROVIDERS = (
    ("anthropic", "Anthropic"),
    ("openai", "OpenAI"),
    ("openrouter", "OpenRouter"),
    ("google", "Google"),
    ("openai-compatible", "OpenAI-compatible"),
)
_STEPS = (
    ("queued", "Waiting for its turn"),
    ("creating", "Creating the container"),
    ("booting", "Starting OpenCode"),
    ("checking", "Checking that it answers"),
)


async def sign_in(request: Request) -> Response:
    goal = own_path(request.query_params.get("next"))
    if _signed_in(request):
        return RedirectResponse(goal, 303)
    return page("login.html", {"page": "login", "username": None, "next": goal, "problem": ""})


async def sessions(request: Request) -> Response:
    caller = _signed_in(request)
    if caller is None:
        return _to_sign_in(request)
    roster = parts(request).roster
    has_agent = roster.has_agent(caller.user_id)
    if not has_agent and not roster.sessions_of(caller.user_id):
        return RedirectResponse("/gateway/agents", 303)
    return page("sessions.html", {**_frame(request, caller, "sessions"), "has_agent": has_agent})


async def agents(request: Request) -> Response:
    caller = _signed_in(request)
    if caller is None:
        return _to_sign_in(request)
    context = {
        **_frame(request, caller, "agents"),
        "has_agent": parts(request).roster.has_agent(caller.user_id),
        "providers": _PROVIDERS,
        "images": parts(request).settings.agent_images,
    }
    return page("agents.html", context)


async def starting(request: Request) -> Response:
    """Stand in for any page of OpenCode while the caller's session is not ready to serve it."""
    caller: Caller | None = request.state.caller
    if caller is None or caller.session_id is None:
        return RedirectResponse(_HOME, 303)
    session = parts(request).roster.session(caller.session_id)
    if session is None:
        return RedirectResponse(_HOME, 303)
    place = parts(request).directory.place(session.id)
    context = {
        **_frame(request, caller, "starting"),
        **_progress(place),
        "session_id": session.id,
        "title": session.title,
    }
    wait_s = str(context["refresh_s"])
    return page("starting.html", context, status=503, headers={"Retry-After": wait_s})


def own_path(wanted: str | None) -> str:
    """Return where to go after signing in: never to another origin."""
    return wanted if wanted and _OWN_PATH.fullmatch(wanted) else _HOME


def steps(state: str, phase: str | None) -> Iterator[tuple[str, str, str]]:
    """Yield each step of a start as (phase, label, done | current | failed | todo)."""
    names = [name for name, _ in _STEPS]
    at = names.index(phase) if phase in names else 0
    for index, (name, label) in enumerate(_STEPS):
        here = "failed" if state == "failed" else "current"
        yield name, label, "done" if index < at else "todo" if index > at else here


def _progress(place: Place) -> dict[str, Any]:
    failed = place.state == "failed"
    elapsed = (datetime.now(tz=UTC) - place.since).total_seconds() if place.since else 0.0
    retry_after_s = place.retry_after_s if failed else None
    return {
        "view": place,
        "headline": "Your session did not start" if failed else "Starting your session",
        "steps": list(steps(place.state, place.phase)),
        "elapsed_s": max(0.0, elapsed) if place.state == "starting" else 0.0,
        "retry_after_s": "" if retry_after_s is None else retry_after_s,
        # Without a script the page asks again by itself; asking is what starts the next attempt.
        "refresh_s": max(1, ceil(retry_after_s or 1)),
    }


def _frame(request: Request, caller: Caller, name: str) -> dict[str, Any]:
    user = parts(request).roster.user(caller.user_id)
    return {"page": name, "username": user.username if user else None}


def _signed_in(request: Request) -> Caller | None:
    """Return the caller if a login vouches for them: an access token opens its session only."""
    caller: Caller | None = request.state.caller
    return caller if caller and caller.login_id else None


def _to_sign_in(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/gateway/login?next={quote(here, safe='/')}", 303)


async def _home(_request: Request) -> Response:
    return RedirectResponse(_HOME, 308)


routes: list[BaseRoute] = [
    Route("/gateway", _home),
    Route("/gateway/", sessions),
    Route("/gateway/login", sign_in),
    Route("/gateway/agents", agents),
    Route("/gateway/starting", starting),
    Mount("/gateway/static", Assets()),
]
