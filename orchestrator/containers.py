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
    FROZEN = "frozen"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    REMOVING = "removing"


class Phase(StrEnum):
    """How far a start has come, each a thing that a waiting person may be told; and `ending`, when
    of a stop only OpenCode's own end is left."""

    QUEUED = "queued"
    CREATING = "creating"
    BOOTING = "booting"
    CHECKING = "checking"
    ENDING = "ending"


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
    user_id: str
    agent: Agent
    token: str = field(repr=False)
    image: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Spec:
    """What an engine needs to create a container: no secret, only the nonce one is derived from.

    `key` is whose it is: a session's id, or a spare's key (see `spare_key`).
    """

    key: str
    volume: str
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
class Identity:
    """What makes a running spare somebody's: OpenCode's configuration with the agent's token in it,
    to be read by the next instance that OpenCode loads."""

    configuration: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a container answers, seen from this machine or network."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Observation:
    """One container as its engine describes it now.

    `boot` differs between two starts of one container; `frozen` ones count as running; `end` says
    in words how it ended; `workspace` is the folder OpenCode is started in, as OpenCode sees it.
    """

    key: str
    container_id: str
    nonce: str
    fingerprint: str
    running: bool
    boot: str
    volume: str
    frozen: bool = False
    address: Address | None = None
    end: str = ""
    workspace: str = WORKSPACE


@dataclass(frozen=True, slots=True)
class Usage:
    """What one container uses now: memory that can't be given back at once, and the processor's
    seconds since it was started."""

    memory_bytes: int
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Room:
    """The memory of the machine that runs the containers."""

    total_bytes: int
    available_bytes: int


@dataclass(frozen=True, slots=True)
class Timings:
    """How long the last start took: in the queue, to be created, to boot, and in all until it was
    ready. A claimed spare has booted before: its `boot_s` is what binding it took."""

    queue_s: float | None = None
    create_s: float | None = None
    boot_s: float | None = None
    ready_s: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What is remembered of one session's container; replaced by `lifecycle`, never changed.

    `volume` is empty until there is one. `failures` counts starts in a row that failed, `crashes`
    ends in a row that came soon. `claimed` is the spare that a start has taken and not yet made
    fully its own. `orderly` says that its last end left no turn unfinished; `booted_at` is a moment
    between its last boot and the first request it was given. `phase` and `live` are
    true of this run of the orchestrator only and are not stored.
    """

    session_id: str
    generation: int
    state: State
    since: datetime
    why: str
    image: str
    user_id: str = ""
    volume: str = ""
    container_id: str | None = None
    problem: str | None = None
    failures: int = 0
    crashes: int = 0
    retry_at: datetime | None = None
    timings: Timings = Timings()
    claimed: str | None = None
    orderly: bool = True
    awake_until: datetime | None = None
    booted_at: datetime | None = None
    phase: Phase | None = None
    live: Observation | None = None


_PREFIX = "agent_"
_SPARE = "spare_"


def name_of(key: str) -> str:
    """The name of a session's or spare's container, and of the volume it is made with."""
    return f"{_PREFIX}{key}"


def key_of(name: str) -> str | None:
    """Read a container's name back: the name, not a label, tells whose it is, because a claimed
    spare is renamed and labels can't change."""
    return name.removeprefix(_PREFIX) if name.startswith(_PREFIX) else None


def spare_key(nonce: str) -> str:
    """The key of a container of the pool, before it is anybody's."""
    return f"{_SPARE}{nonce}"


def is_spare(key: str) -> bool:
    return key.startswith(_SPARE)
