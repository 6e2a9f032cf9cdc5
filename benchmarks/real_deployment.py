"""A whole deployment for the benchmarks: the demo on free ports, with whatever settings it needs.

It is given a Docker Engine as the tests are, which ends with it. What is asked of the gateway is
asked as the demo's user, who is logged in; what is asked of the orchestrator, with its secret.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks.programs import free_port

_WITH_ENGINE = Path(__file__).resolve().parents[1] / "scripts" / "with-engine"
_DEMO = (sys.executable, str(_WITH_ENGINE), sys.executable, "-m", "demo")
_START_S = 180
_STOP_S = 90
_STATE_S = 60
_ASK_EVERY_S = 0.05
_LINK = re.compile(r"^Open (http://\S+)$")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the same server: where to connect, and the line that lets one in."""

    host: str
    port: int
    credential: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """`gateway` is the demo's user in a browser, `orchestrator` is what the gateway asks."""

    port: int
    gateway: httpx.Client
    orchestrator: httpx.Client

    @contextmanager
    def session(self, **wish: str) -> Iterator[dict[str, Any]]:
        """Make a session, which nobody has asked anything yet, and delete it after."""
        made = self.gateway.post("/api/sessions", json=wish).raise_for_status().json()
        try:
            yield made
        finally:
            self.gateway.delete(f"/api/sessions/{made['id']}").raise_for_status()

    def way(self, made: dict[str, Any]) -> Way:
        """The gateway's own, for a client that holds the session's access token."""
        return Way("127.0.0.1", self.port, basic("any", made["access_token"]))

    def view(self, session_id: str) -> dict[str, Any]:
        """What the orchestrator tells of a session's container."""
        path = f"/agent-controller/sessions/{session_id}"
        view: dict[str, Any] = self.orchestrator.get(path).raise_for_status().json()
        return view

    def wait_for_state(self, session_id: str, state: str) -> None:
        self.wait_until(f"state {state}", lambda: self.view(session_id)["state"] == state)

    def wait_for_spare(self) -> None:
        """Wait until the warm pool holds a container that has booted."""
        self.wait_until("a spare container", self._has_spare)

    def wait_until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _STATE_S
        while not holds():
            if time.monotonic() > deadline:
                raise SystemExit(f"The deployment did not come to {what} within {_STATE_S} s.")
            time.sleep(_ASK_EVERY_S)

    def _has_spare(self) -> bool:
        told = self.orchestrator.get("/agent-controller/metrics").raise_for_status().text
        return "opencode_gateway_container_spares 0" not in told


@contextmanager
def deployed(**settings: str) -> Iterator[Deployment]:
    """Run the demo while the body runs, and everything that it starts."""
    with tempfile.TemporaryDirectory(
        prefix="opencode-gateway-bench-", ignore_cleanup_errors=True
    ) as folder:
        yield from _deployed(Path(folder), settings)


@contextmanager
def ways() -> Iterator[dict[str, Way]]:
    """Yield the ways `direct` and `gateway` to one ready container."""
    with deployed() as running, running.session() as made:
        running.gateway.get("/config").raise_for_status()
        names = running.gateway.cookies.items()
        cookie = "; ".join(f"{name}={value}" for name, value in names)
        gateway = Way("127.0.0.1", running.port, f"Cookie: {cookie}")
        yield {"direct": _direct(running.view(made["id"])), "gateway": gateway}


def basic(username: str, password: str) -> str:
    return f"Authorization: Basic {b64encode(f'{username}:{password}'.encode()).decode()}"


def _deployed(state: Path, settings: dict[str, str]) -> Iterator[Deployment]:
    port, inner = free_port(), free_port()
    environ = {
        **os.environ,  # noqa: TID251 - the child's environment, with its ports and state
        "PORT": str(port),
        "ORCHESTRATOR_PORT": str(inner),
        "STATE": str(state),
        "LOG_LEVEL": "INFO",
        **settings,
    }
    log = (state / "log").open("w")
    demo = subprocess.Popen(
        # Whoever calls this may be bound to the cores of the load.
        ["taskset", "-c", f"0-{(os.cpu_count() or 1) - 1}", *_DEMO],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,  # Ctrl-C is for us, who still need it to delete the session
    )
    try:
        link = _wait_for_link(demo)
        secret = (state / "keys" / "service.secret").read_text().strip()
        proof = {"Authorization": f"Bearer {secret}"}
        with (
            httpx.Client(timeout=_START_S, base_url=f"http://127.0.0.1:{port}") as gateway,
            httpx.Client(base_url=f"http://127.0.0.1:{inner}", headers=proof) as orchestrator,
        ):
            gateway.get(link)
            yield Deployment(port, gateway, orchestrator)
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(_STOP_S)
        log.close()


def _wait_for_link(demo: subprocess.Popen[str]) -> str:
    assert demo.stdout is not None
    for line in demo.stdout:
        print(f"  {line.rstrip()}")
        if match := _LINK.match(line):
            return match[1]
    raise SystemExit("The demo did not start; its last lines say why.")


def _direct(view: dict[str, Any]) -> Way:
    address, credential = view["address"], view["credential"]
    proof = basic(credential["username"], credential["password"])
    return Way(address["host"], address["port"], proof)
