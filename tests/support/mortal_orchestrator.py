"""The real orchestrator as a program of its own, which dies where it is told to.

It counts what it changes outside itself: requests to the engine that are more than a look, writes
to its database, orders to an OpenCode server. Right after the N-th it kills itself; the engine's
answer it has not even read then. Until it is armed, it is as any other. Its wall clock can be set.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial, wraps
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import orchestrator.app
from gateway.cli import main
from gateway.cli.environment import environment
from orchestrator.pool import Pool
from orchestrator.rounds import Rhythm
from orchestrator.server import Server
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor

ARM = "/agent-controller/die"
SET_CLOCK = "/agent-controller/clock"
_QUICK = Rhythm(probe_s=5.0, reconcile_s=0.5, longest_wait_s=1.0, step_s=0.2)
_LOOKS = ("GET", "HEAD")


class Death:
    """`left` is how many more changes it survives, None while it is not armed."""

    def __init__(self, note: Path, left: int | None) -> None:
        self.left = left
        self._note = note
        self._lock = threading.Lock()  # the engine is asked on threads

    def step(self, what: str) -> None:
        with self._lock:
            if self.left == 0:
                self._note.write_text(what, "utf-8")
                os.kill(os.getpid(), signal.SIGKILL)
            if self.left is not None:
                self.left -= 1


class WallClock:
    """Ahead of the true one by what it was set forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def watch_engine(death: Death) -> None:
    """A call to the engine is made of several requests: each of them may be the last."""
    ask, answer = HTTPConnection.putrequest, HTTPConnection.getresponse

    def putrequest(self: Any, method: str, url: str, *rest: Any, **more: Any) -> None:
        self.asked = None if method in _LOOKS else f"{method} {url.partition('?')[0]}"
        ask(self, method, url, *rest, **more)

    def getresponse(self: Any) -> Any:
        if self.asked:
            death.step(self.asked)
        return answer(self)

    HTTPConnection.putrequest = putrequest  # type: ignore[method-assign]
    HTTPConnection.getresponse = getresponse  # type: ignore[method-assign]


def watch(owner: type, name: str, death: Death) -> None:
    """Die once a method has changed what it changes."""
    work: Callable[..., Any] = getattr(owner, name)

    @wraps(work)
    async def watched(*given: Any, **named: Any) -> Any:
        outcome = await work(*given, **named)
        death.step(f"{owner.__name__}.{name}")
        return outcome

    setattr(owner, name, watched)


def hold_refills(death: Death) -> None:
    """A pool refills beside what is walked through, and its steps would be taken for those."""
    refill = Pool._refill

    async def held(self: Pool) -> float:
        return 60.0 if death.left is not None else await refill(self)

    Pool._refill = held  # type: ignore[method-assign]


def make_app(
    make: Callable[..., Starlette], death: Death, clock: WallClock, *given: Any
) -> Starlette:
    async def arm(request: Request) -> Response:
        death.left = int(request.query_params["after"])
        return Response(status_code=204)

    async def set_clock(request: Request) -> Response:
        clock.ahead += timedelta(days=int(request.query_params["days"]))
        return Response(status_code=204)

    app = make(*given)
    app.router.routes.append(Route(ARM, arm, methods=["POST"]))
    app.router.routes.append(Route(SET_CLOCK, set_clock, methods=["POST"]))
    return app


def run() -> int:
    environ = environment()
    at_once = environ.get("DIE_AFTER", "")
    death = Death(Path(environ["DEATH_NOTE"]), int(at_once) if at_once else None)
    watch_engine(death)
    for name in ("save", "delete", "add_spare", "forget_spare"):
        watch(Store, name, death)
    for name in ("dispose", "abort"):
        watch(Server, name, death)
    if not at_once:
        hold_refills(death)
    clock = WallClock()
    vars(orchestrator.app)["Supervisor"] = partial(Supervisor, now=clock, rhythm=_QUICK)
    orchestrator.app.create_app = partial(make_app, orchestrator.app.create_app, death, clock)
    return main(["orchestrator"])


if __name__ == "__main__":
    sys.exit(run())
