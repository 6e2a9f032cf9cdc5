"""Where a request goes, and why: one pure decision over who asks, where they live and what for.

Synchronous, without I/O or time. It does not know how bytes are moved, how a container is started,
or what any answer looks like; it names the route and the reason.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from gateway import opencode
from gateway.credentials import Caller
from gateway.use import Use
from gateway.wire.upstream import Pool


class State(StrEnum):
    """A container's state, as the orchestrator tells it."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    FROZEN = "frozen"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
    REMOVING = "removing"


_GIVES_WAY = frozenset(
    {
        "container_failed",
        "container_unavailable",
        "engine_unavailable",
        "no_room",
        "orchestrator_failed",
        "orchestrator_unavailable",
        "standby",
        "start_queued",
        "start_timeout",
    }
)
# Somebody's to mend: told each time, even while the next automatic start has to wait.
_TOLD = frozenset(("crash_loop", "too_many_containers"))


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where bytes can go: an address, behind its pool, and the credential it wants."""

    name: str
    host: str
    port: int
    authorization: bytes
    pool: Pool
    use: Use = field(default_factory=Use, compare=False)


class Interruption(NamedTuple):
    """A turn that a killed container left unfinished: an OpenCode event as JSON, and its folder."""

    directory: str
    payload: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where a session lives. `upstream` is there exactly while the state is ready.

    `kept` is the one to which nothing new goes and whose connections stay open all the same: while
    it is frozen, and while it finishes before a stop. `workspace` is the folder OpenCode works in
    and `version` its own, known while it lives; `retry_at` is when a failed container may be tried
    again, in seconds of the monotonic clock; `problem` is the code of the failure that `why` tells,
    where there is one; `at_rest` says that it was stopped on purpose.
    """

    state: State
    why: str = "Nothing has asked for it yet."
    phase: str | None = None
    since: datetime | None = None
    generation: int = 0
    upstream: Upstream | None = None
    kept: Upstream | None = None
    retry_at: float | None = None
    retry_after_s: float | None = None
    workspace: str | None = None
    retried: bool = False
    problem: str | None = None
    version: str | None = None
    at_rest: bool = False
    interrupted: tuple[Interruption, ...] = ()

    @property
    def living(self) -> Upstream | None:
        """The upstream whose connections are open, whether new requests go there or not."""
        return self.upstream or self.kept

    @property
    def did_not_start(self) -> bool:
        """Whether its last start failed. One that ran and fell silent may start again at once.

        While it is only `retried` by itself, nobody is made to wait for what failed before.
        """
        failed = self.state is State.FAILED and bool(self.retry_after_s)
        return failed or (self.state is State.STARTING and self.retried)


class Ask(NamedTuple):
    """What a request head asks for. `on_shared` says that it names a conversation kept there."""

    method: bytes
    path: bytes
    navigation: bool = False
    on_shared: bool = False


class ToSession(NamedTuple):
    upstream: Upstream


@dataclass(frozen=True, slots=True)
class ToShared:
    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """Have the container started or woken, and wait until it is ready. `briefly` for health probes,
    whose askers give up."""

    briefly: bool = False


@dataclass(frozen=True, slots=True)
class Await:
    """Wait until somebody else has the container started: a tab that merely listens, as the one of
    whoever pressed Stop, must not start it."""


@dataclass(frozen=True, slots=True)
class SayHealthy:
    """A health poll of a container that rests: it is well, and a poll is no reason to wake it."""

    version: str | None


@dataclass(frozen=True, slots=True)
class ShowStart:
    """A browser's page load: show how the start goes instead of a blank tab."""


@dataclass(frozen=True, slots=True)
class ToPage:
    """A browser's page load that needs a person first."""

    path: str


@dataclass(frozen=True, slots=True)
class Refuse:
    code: str


Route = ToSession | ToShared | Hold | Await | SayHealthy | ShowStart | ToPage | Refuse


def route(ask: Ask, caller: Caller | None, place: Place, *, shared: bool, has_agent: bool) -> Route:
    """Decide where a request goes; `shared` says whether there is a shared service."""
    if caller is None:
        return _nobody(ask, shared=shared)
    if caller.session_id is None:
        return _no_session(ask, has_agent=has_agent)
    if ask.on_shared:
        return _to_its_conversation(ask, shared=shared)
    if place.upstream is not None:
        return ToSession(place.upstream)
    if place.state is State.REMOVING:
        return Refuse("session_removing")
    resting = _resting(ask, place)
    if resting is not None:
        return resting
    if place.did_not_start and shared and place.problem not in _TOLD:
        return fallback(ask, _reason(place), shared=shared)
    # The page that shows a start asks on by cookie or Basic, which nothing in a query gives.
    if ask.navigation and caller.via not in ("query", "ticket"):
        return ShowStart()
    return Hold(briefly=_is_health_poll(ask))


def gives_way(code: str) -> bool:
    """Whether a failure means that the container cannot be had, so that others may serve.

    Any other is somebody's to mend (a token, an image, a deleted session) and is told instead.
    """
    return code in _GIVES_WAY


def fallback(ask: Ask, reason: str, *, shared: bool) -> Route:
    """Decide for a request whose container cannot be had; no byte of it has been sent."""
    if opencode.bound_id(ask.path) is not None:
        return Refuse("conversation_unavailable")
    if not shared:
        return ShowStart() if ask.navigation else Refuse("container_unavailable")
    if not opencode.allowed_on_shared(ask.method, ask.path):
        return Refuse("not_on_shared")
    return ToShared(reason)


def _resting(ask: Ask, place: Place) -> Route | None:
    """Decide what a container that rests may be disturbed for; None for what starts any."""
    frozen = place.state is State.FROZEN
    if not (frozen or place.at_rest or place.state is State.STOPPING):
        return None
    if _is_health_poll(ask):
        return SayHealthy(place.version)
    if frozen:
        return Hold()  # it is woken in 30 ms, which a page load waits for as well
    # A page of another origin asks by OPTIONS first whether it may listen.
    listens = ask.method in (b"GET", b"HEAD", b"OPTIONS") and opencode.is_quiet(ask.path)
    return Await() if listens else None


def _is_health_poll(ask: Ask) -> bool:
    return ask.method in (b"GET", b"HEAD") and opencode.is_health(ask.path)


def _reason(place: Place) -> str:
    problem = place.problem
    return problem if problem is not None and gives_way(problem) else "container_failed"


def _to_its_conversation(ask: Ask, *, shared: bool) -> Route:
    """What lives on the shared service stays there, and is limited to talk there as well."""
    if not shared:
        return Refuse("conversation_unavailable")
    if not opencode.allowed_on_shared(ask.method, ask.path):
        return Refuse("not_on_shared")
    return ToShared("conversation")


def _nobody(ask: Ask, *, shared: bool) -> Route:
    if shared and opencode.is_public(ask.method, ask.path):
        return ToShared("public")
    return ToPage("/gateway/login") if ask.navigation else Refuse("authentication_required")


def _no_session(ask: Ask, *, has_agent: bool) -> Route:
    if ask.navigation:
        return ToPage("/gateway/" if has_agent else "/gateway/agents")
    return Refuse("session_required" if has_agent else "agent_required")
