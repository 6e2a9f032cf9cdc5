"""What the orchestrator speaks of: orders, specs, observations and records, all of them frozen.

A *spec* says what a container shall be, an *observation* is what the engine says it is, a *record*
is what is remembered of one session's container. This module imports nothing of ours, and nothing
here can act.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

PORT = 4096
WORKSPACE = "/workspace"


class State(StrEnum):
    """Where a container is in its life; the rows of the table in `lifecycle`."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    REMOVING = "removing"


class Phase(StrEnum):
    """How far a start has come; each is a thing a waiting person may be told."""

    QUEUED = "queued"
    CREATING = "creating"
    BOOTING = "booting"
    CHECKING = "checking"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one container may use at most."""

    memory_bytes: int
    cpus: float
    pids: int


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent a session is bound to, as far as its container must know it."""

    id: str
    provider: str
    model: str | None
    base_url: str | None
    image: str | None


@dataclass(frozen=True, slots=True)
class Order:
    """What the gateway asks for: this session's container, running with this agent."""

    session_id: str
    agent: Agent
    token: str = field(repr=False)
    image: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Spec:
    """What an engine needs to create a container: no secret, only the nonce one is derived from."""

    session_id: str
    generation: int
    image: str
    limits: Limits
    nonce: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Environment:
    """What OpenCode is given at each start. The secrets are known so that logs can hide them."""

    values: dict[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a container answers, seen from this machine or network."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Observation:
    """One container as its engine describes it now.

    `boot` differs between two starts of one container; `end` says in words how it ended;
    `workspace` is the folder OpenCode is started in, as OpenCode sees it.
    """

    session_id: str
    container_id: str
    nonce: str
    fingerprint: str
    running: bool
    boot: str
    address: Address | None = None
    end: str = ""
    workspace: str = WORKSPACE


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the last start took: to be created, to boot, and in all until it was ready."""

    create_s: float | None = None
    boot_s: float | None = None
    ready_s: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one session's container; replaced by `lifecycle`, never changed.

    `phase` and `live` are true of this run of the orchestrator only and are not stored.
    """

    session_id: str
    generation: int
    state: State
    since: datetime
    why: str
    image: str
    container_id: str | None = None
    problem: str | None = None
    failures: int = 0
    retry_at: datetime | None = None
    timings: Timings = Timings()
    phase: Phase | None = None
    live: Observation | None = None


def name_of(session_id: str) -> str:
    """The name of a session's container, and of its volume."""
    return f"agent_{session_id}"
