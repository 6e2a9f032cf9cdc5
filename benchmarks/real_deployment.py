"""A whole deployment for the benchmarks: the demo on free ports, and both ways to its container.

It is given a Docker Engine as the tests are, which ends with it.

The direct way is the container's own address with its own password, as the orchestrator tells it;
the other is the gateway with the session's access token.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.programs import free_port

_WITH_ENGINE = Path(__file__).resolve().parents[1] / "scripts" / "with-engine"
_DEMO = (sys.executable, str(_WITH_ENGINE), sys.executable, "-m", "demo")
_START_S = 180
_STOP_S = 90
_LINK = re.compile(r"^Open (http://\S+)$")


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the same server: where to connect, and the line that lets one in."""

    host: str
    port: int
    credential: str


@contextmanager
def ways() -> Iterator[dict[str, Way]]:
    """Start the demo; yield the ways `direct` and `gateway` to its one ready container."""
    with tempfile.TemporaryDirectory(
        prefix="opencode-gateway-bench-", ignore_cleanup_errors=True
    ) as folder:
        yield from _ways(Path(folder))


def _ways(state: Path) -> Iterator[dict[str, Way]]:
    port, inner = free_port(), free_port()
    environ = {
        **os.environ,  # noqa: TID251 - the child's environment, with its ports and state
        "PORT": str(port),
        "ORCHESTRATOR_PORT": str(inner),
        "STATE": str(state),
        "LOG_LEVEL": "INFO",
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
        with _session(_wait_for_link(demo), port) as (session_id, cookie):
            direct = _direct(session_id, inner, state / "keys" / "service.secret")
            yield {"direct": direct, "gateway": Way("127.0.0.1", port, f"Cookie: {cookie}")}
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


@contextmanager
def _session(link: str, port: int) -> Iterator[tuple[str, str]]:
    """Make a session with a ready container; yield its id and cookie, and delete it after."""
    with httpx.Client(timeout=_START_S, base_url=f"http://127.0.0.1:{port}") as http:
        http.get(link)
        made = http.post("/api/sessions", json={}).raise_for_status().json()
        try:
            http.get("/config").raise_for_status()
            yield made["id"], "; ".join(f"{name}={value}" for name, value in http.cookies.items())
        finally:
            http.delete(f"/api/sessions/{made['id']}").raise_for_status()


def _direct(session_id: str, port: int, secret: Path) -> Way:
    url = f"http://127.0.0.1:{port}/agent-controller/sessions/{session_id}"
    proof = {"Authorization": f"Bearer {secret.read_text().strip()}"}
    view = httpx.get(url, headers=proof).raise_for_status().json()
    address, credential = view["address"], view["credential"]
    pair = f"{credential['username']}:{credential['password']}".encode()
    return Way(address["host"], address["port"], f"Authorization: Basic {b64encode(pair).decode()}")
