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
from starlette.routing import BaseRoute, Route

from gateway.api.logins import follow_link
from gateway.credentials import Caller
from gateway.errors import GatewayError
from gateway.lives import shown
from gateway.parts import caller, parts
from gateway.rendering import asset, page

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
# What the starting page says and offers, by the problem that it tells; "" is any other. Steps are
# shown where it failed at one of them.
_STARTING = {
    "headline": "Starting your session",
    "again": "Try again",
    "sessions": "Sessions",
    "steps": True,
}
_PROBLEMS = {
    "": {**_STARTING, "headline": "Your session did not start"},
    "crash_loop": {
        **_STARTING,
        "headline": "Your session keeps breaking down",
        "again": "Start again",
        "steps": False,
    },
    "no_room": {**_STARTING, "headline": "There is no room at the moment", "steps": False},
    "too_many_containers": {
        **_STARTING,
        "headline": "You have reached your limit",
        "sessions": "Stop another session",
        "steps": False,
    },
}


async def sign_in(request: Request) -> Response:
    if request.method == "GET" and "token" in request.query_params:
        return await _by_link(request)
    goal = own_path(request.query_params.get("next"))
    if _signed_in(request):
        return RedirectResponse(goal, 303)
    return _sign_in_page(goal)


async def sessions(request: Request) -> Response:
    person = _signed_in(request)
    if person is None:
        return _to_sign_in(request)
    roster = parts(request).roster
    has_agent = roster.has_agent(person.user_id)
    if not has_agent and not roster.sessions_of(person.user_id):
        return RedirectResponse("/gateway/agents", 303)
    return page("sessions.html", {**_frame(request, person, "sessions"), "has_agent": has_agent})


async def agents(request: Request) -> Response:
    person = _signed_in(request)
    if person is None:
        return _to_sign_in(request)
    context = {
        **_frame(request, person, "agents"),
        "has_agent": parts(request).roster.has_agent(person.user_id),
        "providers": _PROVIDERS,
        "images": parts(request).settings.agent_images,
    }
    return page("agents.html", context)


async def starting(request: Request) -> Response:
    """Stand in for any page of OpenCode while the caller's session is not ready to serve it."""
    asking = caller(request)
    if asking is None or asking.session_id is None:
        return RedirectResponse(_HOME, 303)
    session = parts(request).roster.session(asking.session_id)
    if session is None:
        return RedirectResponse(_HOME, 303)
    view = await shown(parts(request), session)
    context = {**_frame(request, asking, "starting"), **_progress(view)}
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


def _progress(view: dict[str, Any]) -> dict[str, Any]:
    """Return what the starting page shows of a session, as the API would tell it."""
    state, retry_after_s = view["state"], view.get("retry_after_s")
    since = datetime.fromisoformat(view["since"])
    elapsed_s = (datetime.now(tz=UTC) - since).total_seconds() if state == "starting" else 0.0
    problem = _PROBLEMS.get(view.get("problem", ""), _PROBLEMS[""])
    return {
        "view": view,
        "failed": state == "failed",
        "words": problem if state == "failed" else _STARTING,
        "all_words": {"starting": _STARTING, "problems": _PROBLEMS},
        "steps": list(steps(state, view.get("phase"))),
        "elapsed_s": round(max(0.0, elapsed_s), 1),
        "retry_after_s": retry_after_s,
        # Without a script the page asks again by itself; asking is what starts the next attempt.
        "refresh_s": max(1, ceil(retry_after_s or 1)),
    }


def _frame(request: Request, person: Caller, name: str) -> dict[str, Any]:
    user = parts(request).roster.user(person.user_id)
    return {"page": name, "username": user.username if user else None}


async def _by_link(request: Request) -> Response:
    try:
        return await follow_link(request)
    except GatewayError as error:
        return _sign_in_page(_HOME, error)


def _sign_in_page(goal: str, error: GatewayError | None = None) -> Response:
    context = {"page": "login", "username": None, "next": goal}
    problem = error.message if error else ""
    return page(
        "login.html", {**context, "problem": problem}, status=error.status if error else 200
    )


def _signed_in(request: Request) -> Caller | None:
    """Return the caller if a login vouches for them: an access token opens its session only."""
    asking = caller(request)
    return asking if asking and asking.login_id else None


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
    Route("/gateway/static/{name}", asset),
]
