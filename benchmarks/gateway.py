"""The gateway under test: the production command, with people who came in by the product's code.

Its orchestrator is scripted and says that every session is ready at the benchmarks' upstream.
Everything else is what people run: database, cookies, credentials, access log, metrics.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import interpreter, programs
from benchmarks.cores import Cores
from benchmarks.programs import Program
from gateway import administration, logins
from gateway.app import create_app
from gateway.settings import load_settings
from migrations import upgrade

_BIN = Path(sys.prefix) / "bin"
_TOP = Path(__file__).resolve().parents[1]
_MOST_USERS = 32


@dataclass(frozen=True, slots=True)
class Deployment:
    """One gateway's settings and people; `cookies` are signed, one for each session."""

    environ: dict[str, str]
    cookies: list[str]
    cores: Cores

    def start(self, folder: Path, *arguments: str) -> Program:
        """Start `opencode-gateway gateway`; its access log goes to the folder's `output`."""
        port = programs.free_port()
        python = interpreter.chosen()
        command = [python.path, str(_BIN / "opencode-gateway"), "gateway", *arguments]
        environ = {**self.environ, **python.environ, "PORT": str(port)}
        return programs.start(command, cores=self.cores.proxy, folder=folder, port=port, **environ)


@contextmanager
def deployed(folder: Path, cores: Cores, upstream: int, sessions: int) -> Iterator[Deployment]:
    """Make users and sessions, and run the orchestrator that knows where they all are."""
    folder.mkdir(parents=True, exist_ok=True)
    port = programs.free_port()
    environ = {
        "STATE": str(folder / "state"),
        "ORCHESTRATOR_URL": f"http://127.0.0.1:{port}",
        "LOG_LEVEL": "INFO",
        # All load comes from one address, and streams from one session.
        "MAX_CONNECTIONS_PER_ADDRESS": "100000",
        "MAX_CONNECTIONS_PER_SESSION": "100000",
    }
    named = asyncio.run(_furnish(environ, sessions))
    told = folder / "sessions.json"
    told.write_text(json.dumps({"sessions": list(named), "upstream": upstream}))
    orchestrator = programs.start(
        [sys.executable, "-m", "benchmarks.orchestrator", str(port), str(told)],
        cores=cores.load,
        folder=folder / "orchestrator",
        port=port,
        PYTHONPATH=str(_TOP),
    )
    try:
        yield Deployment(environ, list(named.values()), cores)
    finally:
        orchestrator.stop()


async def _furnish(environ: dict[str, str], sessions: int) -> dict[str, str]:
    """Return each session's id with the cookie of its user's login."""
    settings = load_settings(environ)
    await upgrade(settings.database_url, "gateway")
    parts = create_app(settings).state.parts
    users, named = min(sessions, _MOST_USERS), {}
    for n in range(users):
        user = await administration.create_user(parts.store, f"user-{n}")
        wish = {"name": "a", "provider": "anthropic", "token": "sk-of-the-benchmark"}
        images = settings.agent_images
        await administration.create_agent(parts.store, parts.accounts, images, user, wish)
        link = await administration.one_time_link(parts.store, user)
        login = await logins.follow_link(parts, link)
        for _ in range(n, sessions, users):
            session, _token = await administration.create_session(parts.store, user)
            header = parts.cookies.set_header(login.id, session.id)
            named[session.id] = header.partition(";")[0]
    await parts.directory.client.aclose()
    await parts.store.close()
    return named
