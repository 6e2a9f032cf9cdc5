"""Orders, stores and running supervisors for the orchestrator's tests."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from migrations import upgrade
from orchestrator import server
from orchestrator.admission import Allowance
from orchestrator.containers import Agent, Limits, Order, Record, State
from orchestrator.ladder import Policy
from orchestrator.rounds import Rhythm
from orchestrator.starting import Clients, Starter
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor
from orchestrator.terms import Rules, Terms, Wish
from tests.orchestrator.fake_engine import FakeEngine

SESSION = "5" * 32
USER = "7" * 32
KEY = b"a key that only these tests use"
LIMITS = Limits(memory_bytes=1 << 30, cpus=1.0, pids=512)
# Nothing is done by itself that a test does not ask for.
SELDOM = Rhythm(probe_s=1e6, reconcile_s=1e6, longest_wait_s=60, step_s=1e6)
AGENT = Agent("a" * 32, "openai-compatible", "scripted", "http://127.0.0.1:9/v1", None)
NO_LADDER = Policy(freeze_after_s=0, stop_after_s=0, remove_after_s=0)
NO_LIMITS = Allowance(0, 0, 0, 0, 0)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


def order(
    session_id: str = SESSION, image: str = "image", limits: Limits = LIMITS, user_id: str = USER
) -> Order:
    return Order(session_id, user_id, AGENT, "sk-secret", image, limits)


def terms(
    *,
    policy: Policy = NO_LADDER,
    drain_s: float = 5.0,
    recycle_above_bytes: int = 0,
    allowance: Allowance = NO_LIMITS,
    spares: int = 0,
    starts_at_once: int = 64,
) -> Terms:
    """What a test does not name is off."""
    rules = Rules(policy, drain_s, recycle_above_bytes)
    return Terms(rules, allowance, Wish(spares, "image", LIMITS), starts_at_once)


@dataclass
class Clock:
    """The time that people read, which passes only when a test says so."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Stopwatch:
    """The time that nobody sets: the event loop's own, which a test can make pass at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ahead_s = 0.0
        real = loop.time
        loop.time = lambda: real() + self._ahead_s  # type: ignore[method-assign]

    def pass_by(self, seconds: float) -> None:
        self._ahead_s += seconds


@pytest.fixture
async def stopwatch(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stopwatch]:
    # Who lets minutes pass at once sends no heartbeats meanwhile.
    monkeypatch.setattr("orchestrator.watch._LONGEST_SILENCE_S", math.inf)
    loop = asyncio.get_running_loop()
    real = loop.time
    yield Stopwatch(loop)
    loop.time = real  # type: ignore[method-assign]


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


@asynccontextmanager
async def starting(engine: FakeEngine, timeout_s: float = 10.0) -> AsyncIterator[Starter]:
    async with server.client() as questions, server.stream_client() as streams:
        yield Starter(engine, Clients(questions, streams), KEY, timeout_s)


@pytest.fixture
def run(engine: FakeEngine, store: Store, clock: Clock) -> Run:
    """Start a supervisor on the fake engine; again, to see what the next run finds."""

    @asynccontextmanager
    async def run(
        terms: Terms = terms(),  # noqa: B008 - it is a value
        timeout_s: float = 10.0,
        rhythm: Rhythm = SELDOM,
    ) -> AsyncIterator[Supervisor]:
        async with starting(engine, timeout_s) as starter:
            supervisor = Supervisor(engine, store, starter, KEY, terms, clock, rhythm)
            async with supervisor.running():
                yield supervisor

    return run


async def until_state(supervisor: Supervisor, state: State, session_id: str = SESSION) -> Record:
    """Wait, by following the changes as the gateway does, until a session is in a state."""
    await until_told(supervisor, lambda: supervisor.record(session_id).state is state)
    return supervisor.record(session_id)


async def until_told(supervisor: Supervisor, holds: Callable[[], bool]) -> None:
    """Wait, by following the changes as the gateway does, until something holds."""
    with anyio.fail_after(5):
        async with supervisor.listening() as listener:
            async for _ in listener.changes(heartbeat_s=60):
                if holds():
                    return
    raise AssertionError("the listening ended")


async def take_steps(supervisor: Supervisor) -> None:
    """Take the steps of the ladder that are due now, as the rounds do each second."""
    for owner in list(supervisor._owners.values()):
        await owner.settled()
        async with owner._lock:
            pass  # a look that is under way would put the step off to the next second
        if owner.is_due():
            await owner.step()
