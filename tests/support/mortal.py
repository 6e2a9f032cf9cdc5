"""A deployment whose orchestrator is killed again and again, asked as the gateway would ask it.

Folder and port stay the same from one life of the orchestrator to the next.
"""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
from anyio.abc import Process

from tests.support.agreement import disagreements, picture
from tests.support.deployment import CLEAN_ENVIRONMENT, clear_away, running
from tests.support.mortal_orchestrator import ARM, SET_CLOCK
from tests.support.scripted_model import KEY, Model
from tests.support.services import free_port
from tests.support.waiting import until

_SECRET = "a secret of these tests alone"
_COMMAND = (sys.executable, "-m", "tests.support.mortal_orchestrator")
_USER = "e" * 32
_SETTLES_WITHIN_S = 30


@dataclass(slots=True)
class Mortal:
    """`http` asks the orchestrator; `process` is its present life."""

    environ: dict[str, str]
    state: Path
    model: Model
    http: httpx.AsyncClient  # noqa: TID251 - the gateway's part
    stack: AsyncExitStack
    process: Process | None = None

    async def start(self, **settings: str) -> None:
        """Start the orchestrator, and return when it answers."""
        log = self.state.with_name(f"{self.state.name}.log")
        program = running(_COMMAND, {**self.environ, **settings}, log)
        self.process = await self.stack.enter_async_context(program)
        if "DIE_AFTER" not in settings:
            await until(self.answers, "the orchestrator answering")

    async def end(self) -> None:
        """Kill it, and return when it is dead."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    def is_dead(self) -> bool:
        return self.process is None or self.process.returncode is not None

    async def answers(self) -> bool:
        try:
            return (await self.http.get("/agent-controller/health")).status_code == 200
        except httpx.TransportError:
            return False

    async def arm(self, after: int) -> None:
        await self.http.post(ARM, params={"after": after})

    async def set_clock_forward(self, days: int) -> None:
        await self.http.post(SET_CLOCK, params={"days": days})

    def last_words(self) -> str:
        """Where it died."""
        return Path(self.environ["DEATH_NOTE"]).read_text("utf-8")

    async def agrees(self) -> None:
        """Return when records, containers and volumes agree; fail with what does not."""
        left: list[str] = []

        async def holds() -> bool:
            left[:] = await disagreements(self.state)
            return not left

        try:
            await until(holds, "agreement", _SETTLES_WITHIN_S)
        except AssertionError as error:
            raise AssertionError(" ".join(left)) from error

    async def has_nothing(self) -> bool:
        """Whether no record, container or volume is there: what agrees may still be there."""
        seen = await picture(self.state)
        return not (seen.records or seen.spares or seen.containers or seen.volumes)

    async def ensure(self, session_id: str) -> dict[str, Any]:
        answer = await self.asked(session_id)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def asked(self, session_id: str) -> httpx.Response:
        """Ask for the session, as somebody who presses a button would."""
        order = {"session_id": session_id, "user_id": _USER, "token": KEY, "force": True}
        agent = {name: self.model.wish[name] for name in ("provider", "model", "base_url")}
        body = {**order, "agent": {"id": "a" * 32, **agent}}
        return await self.http.post("/agent-controller/sessions/agent", json=body)

    async def remove(self, session_id: str) -> None:
        answer = await self.http.delete(f"/agent-controller/sessions/{session_id}")
        assert answer.status_code == 204, answer.text

    async def order(self, session_id: str, what: str, **body: Any) -> None:
        path = f"/agent-controller/sessions/{session_id}/{what}"
        answer = await self.http.post(path, json=body)
        assert answer.status_code == 200, answer.text

    async def view(self, session_id: str) -> dict[str, Any] | None:
        answer = await self.http.get(f"/agent-controller/sessions/{session_id}")
        told: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return told

    async def is_in(self, session_id: str, state: str) -> bool:
        told = await self.view(session_id)
        return told is not None and told["state"] == state

    async def has_spare(self) -> bool:
        told = await self.http.get("/agent-controller/metrics")
        return "_spares 1\n" in told.text


async def prompted(view: dict[str, Any], prompt: str) -> str:
    """What a session's own OpenCode answers, asked without a gateway."""
    where, who = view["address"], view["credential"]
    base_url = f"http://{where['host']}:{where['port']}"
    auth = (who["username"], who["password"])
    async with httpx.AsyncClient(base_url=base_url, auth=auth, timeout=60) as http:  # noqa: TID251
        conversation = (await http.post("/session", json={})).json()
        parts = {"parts": [{"type": "text", "text": prompt}]}
        answer = await http.post(f"/session/{conversation['id']}/message", json=parts)
        assert answer.status_code == 200, answer.text
        return "".join(part.get("text", "") for part in answer.json()["parts"])


@asynccontextmanager
async def mortal(state: Path, model: Model, **settings: str) -> AsyncIterator[Mortal]:
    """Have an orchestrator to kill while the body runs; it is not started yet."""
    port = free_port()
    environ = {
        **CLEAN_ENVIRONMENT,
        "STATE": str(state),
        "ORCHESTRATOR_PORT": str(port),
        "SERVICE_SECRET": _SECRET,
        "ENGINE": "docker",
        "POOL_SIZE": "0",
        "FREEZE_AFTER_S": "0",
        "START_TIMEOUT_S": "180",
        "DEATH_NOTE": str(state.with_name(f"{state.name}.death")),
        **settings,
    }
    client = httpx.AsyncClient(  # noqa: TID251 - the gateway's part
        base_url=f"http://127.0.0.1:{port}",
        headers={"Authorization": f"Bearer {_SECRET}"},
        timeout=200,
    )
    try:
        async with client, AsyncExitStack() as stack:
            one = Mortal(environ, state, model, client, stack)
            yield one
            if not one.is_dead():
                await one.end()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(partial(clear_away, state))
