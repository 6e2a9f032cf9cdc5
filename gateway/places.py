"""What a view of the orchestrator's says of where a session lives, beside what was known before.

It also shows a start from its first moment to its failure. A container that is still the same keeps
its upstream, and with it the connections that are open. It knows no request, and asks nobody.
"""

import json
from base64 import b64encode
from datetime import UTC, datetime

from gateway.errors import GatewayError
from gateway.orchestrator_client import View
from gateway.routing import Interruption, Place, State, Upstream
from gateway.wire.upstream import Pool

# Where its server lives and is to be left alone with what it has begun.
_KEPT = (State.FROZEN, State.STOPPING)


def place_of(view: View, known: Place, *, now: float, retried: bool) -> Place:
    """Return the place that a view tells of; `now` is of the monotonic clock."""
    state = State(view["state"])
    wait = view.get("retry_after_s")
    upstream = _upstream(view, known) if state is State.READY or state in _KEPT else None
    return Place(
        state=state,
        why=view["why"],
        problem=view.get("problem"),
        phase=view.get("phase"),
        since=datetime.fromisoformat(view["since"]) if view.get("since") else None,
        generation=view["generation"],
        upstream=upstream if state is State.READY else None,
        kept=upstream if state in _KEPT else None,
        retry_at=None if wait is None else now + wait,
        retry_after_s=wait,
        workspace=view.get("workspace"),
        retried=retried,
        version=view.get("version"),
        at_rest=view.get("at_rest", False),
        interrupted=tuple(
            Interruption(told["directory"], json.dumps(told["payload"], separators=(",", ":")))
            for told in view.get("interrupted") or ()
        ),
    )


def is_only_looked_for(view: View, known: Place) -> bool:
    """Whether a restarted orchestrator only looks for what we know to live.

    A start has a new generation; the same one `starting` again means that nothing was started, and
    the streams that go on meanwhile must not be cut.
    """
    same = view["generation"] == known.generation
    return known.living is not None and same and view["state"] == State.STARTING


def about_to_start(before: Place, *, retried: bool) -> Place:
    """Show a start from its first moment, before the orchestrator tells of it."""
    return Place(
        State.STARTING,
        "It is being started.",
        phase="queued",
        since=datetime.now(tz=UTC),
        generation=before.generation,
        kept=before.kept,
        retried=retried,
    )


def not_started(error: GatewayError, known: Place, *, now: float) -> Place:
    """Show that a start failed, as its asker was told; `now` is of the monotonic clock."""
    wait = error.data.get("retry_after_s")
    return Place(
        State.FAILED,
        error.message,
        problem=error.code,
        generation=known.generation,
        retry_at=None if wait is None else now + wait,
        retry_after_s=wait,
    )


def basic(username: str, password: str) -> bytes:
    return b"Basic " + b64encode(f"{username}:{password}".encode())


def _upstream(view: View, known: Place) -> Upstream | None:
    """Return the view's upstream: the one already known, with its pool, for the same container."""
    address, credential = view.get("address"), view.get("credential")
    if address is None or credential is None:
        return None
    old = known.living
    same = old is not None and known.generation == view["generation"]
    if old is not None and same and (old.host, old.port) == (address["host"], address["port"]):
        return old
    name, host, port = view["container"], address["host"], address["port"]
    authorization = basic(credential["username"], credential["password"])
    return Upstream(name, host, port, authorization, Pool(name, host, port))
