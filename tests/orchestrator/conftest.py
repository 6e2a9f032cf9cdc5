"""Orders, stores and running supervisors for the orchestrator's tests."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from migrations import upgrade
from orchestrator import server
from orchestrator.containers import Agent, Limits, Order, Record, State
from orchestrator.starting import Starter
from orchestrator.store import Store
from orchestrator.supervisor import Rhythm, Supervisor
from tests.orchestrator.fake_engine import FakeEngine

SESSION = "5" * 32
KEY = b"a key that only these tests use"
LIMITS = Limits(memory_bytes=1 << 30, cpus=1.0, pids=512)
SELDOM = Rhythm(probe_s=60, reconcile_s=60, longest_wait_s=60)
AGENT = Agent("a" * 32, "openai-compatible", "scripted", "http://127.0.0.1:9/v1", None)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def order(session_id: str = SESSION, image: str = "image", limits: Limits = LIMITS) -> Order:
    return Order(session_id, AGENT, "sk-secret", image, limits)


@dataclass
class Clock:
    """Time that passes only when a test says so."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    url = f"sqlite+aiosqlite:///{tmp_path}/orchestrator.db"
    await upgrade(url, "orchestrator")
    store = await Store.open(url)
    yield store
    await store.aclose()


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    engine = FakeEngine()
    yield engine
    engine.answers = True
    await engine.aclose()


@pytest.fixture
def clock() -> Clock:
    return Clock()


Run = Callable[..., AbstractAsyncContextManager[Supervisor]]


@pytest.fixture
def run(engine: FakeEngine, store: Store, clock: Clock) -> Run:
    """Start a supervisor on the fake engine; again, to see what the next run finds."""

    @asynccontextmanager
    async def run(timeout_s: float = 10.0, rhythm: Rhythm = SELDOM) -> AsyncIterator[Supervisor]:
        async with server.client() as client:
            starter = Starter(engine, client, KEY, timeout_s)
            supervisor = Supervisor(engine, store, starter, KEY, clock, rhythm)
            async with supervisor.running():
                yield supervisor

    return run


async def until_state(supervisor: Supervisor, state: State, session_id: str = SESSION) -> Record:
    """Wait, by following the changes as the gateway does, until a session is in a state."""
    with anyio.fail_after(5):
        async with supervisor.listening() as listener:
            async for _ in listener.changes(heartbeat_s=60):
                record = supervisor.record(session_id)
                if record.state is state:
                    return record
    raise AssertionError("the listening ended")
