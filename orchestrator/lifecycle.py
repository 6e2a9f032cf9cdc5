"""Where a container is in its life, and what may happen next.

Every transition is a row of TRANSITIONS; code elsewhere asks, it never assigns a state. Below the
table stands one function for each thing that can happen. Pure: the caller brings `now`, and nothing
here knows Docker or a database. What an observation calls for is `plan`'s.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.containers import Observation, Order, Phase, Record, State, Timings, name_of


class Event(StrEnum):
    """What can happen to a container."""

    START_ASKED = "start asked"
    ANSWERED = "answered"
    START_FAILED = "start failed"
    FROZEN = "frozen"
    THAWED = "thawed"
    GONE = "gone"
    CRASHED = "crashed again"
    SILENT = "silent"
    LOST_SIGHT = "lost sight"
    STOP_ASKED = "stop asked"
    STOPPED = "stopped"
    REMOVE_ASKED = "remove asked"


TRANSITIONS: Mapping[State, Mapping[Event, State]] = {
    State.NEW: {
        Event.START_ASKED: State.STARTING,
        Event.REMOVE_ASKED: State.REMOVING,
    },
    State.STARTING: {
        Event.ANSWERED: State.READY,
        Event.START_FAILED: State.FAILED,
        Event.GONE: State.STOPPED,
        Event.STOP_ASKED: State.STOPPING,
        Event.REMOVE_ASKED: State.REMOVING,
    },
    State.READY: {
        Event.FROZEN: State.FROZEN,
        Event.GONE: State.STOPPED,
        Event.CRASHED: State.FAILED,
        Event.SILENT: State.FAILED,
        Event.LOST_SIGHT: State.STARTING,
        Event.STOP_ASKED: State.STOPPING,
        Event.REMOVE_ASKED: State.REMOVING,
    },
    State.FROZEN: {
        Event.THAWED: State.READY,
        Event.GONE: State.STOPPED,
        Event.CRASHED: State.FAILED,
        Event.STOP_ASKED: State.STOPPING,
        Event.REMOVE_ASKED: State.REMOVING,
    },
    State.STOPPING: {
        Event.STOPPED: State.STOPPED,
        Event.REMOVE_ASKED: State.REMOVING,
    },
    State.STOPPED: {
        Event.START_ASKED: State.STARTING,
        Event.REMOVE_ASKED: State.REMOVING,
    },
    State.FAILED: {
        Event.START_ASKED: State.STARTING,
        Event.STOP_ASKED: State.STOPPING,
        Event.REMOVE_ASKED: State.REMOVING,
    },
    State.REMOVING: {},
}


class IllegalTransition(Exception):
    """The table has no such row: a mistake in this program, not in what was asked."""


LONGEST_WAIT_S = 60
CRASHES_ALLOWED = 4
# Who lived so long before it ended did not crash again: it crashed anew.
STEADY_S = 600


def allows(state: State, event: Event) -> bool:
    return event in TRANSITIONS[state]


def born(session_id: str, image: str, now: datetime) -> Record:
    return Record(session_id, 0, State.NEW, now, "It has not been started yet.", image)


def asked_to_start(record: Record, order: Order, now: datetime) -> Record:
    moved = _moved(record, Event.START_ASKED, "It is being started.", now)
    return replace(
        moved,
        generation=record.generation + 1,
        image=order.image,
        user_id=order.user_id,
        volume=record.volume or name_of(record.session_id),
        phase=Phase.QUEUED,
        problem=None,
        retry_at=None,
        timings=Timings(),
    )


def claiming(record: Record, spare: str, volume: str) -> Record:
    """The start takes a spare, with its volume: to be written down before the spare is touched."""
    return replace(record, claimed=spare, volume=volume, phase=Phase.CREATING)


def claim_failed(record: Record) -> Record:
    """The spare is gone, its volume stays the session's: a cold start takes its place."""
    return replace(record, claimed=None)


def answered(record: Record, live: Observation, timings: Timings, now: datetime) -> Record:
    moved = _moved(record, Event.ANSWERED, "OpenCode answers.", now, live)
    return replace(
        moved,
        container_id=live.container_id,
        timings=timings,
        failures=0,
        problem=None,
        retry_at=None,
        claimed=None,
    )


def start_failed(record: Record, problem: str, why: str, now: datetime) -> Record:
    failures = record.failures + 1
    # To ask an engine that sleeps costs nothing, and it may wake at any moment.
    wait = timedelta(seconds=wait_after(1 if problem == "engine_unavailable" else failures))
    moved = _moved(record, Event.START_FAILED, why, now)
    return replace(moved, problem=problem, failures=failures, retry_at=now + wait)


def frozen(record: Record, why: str, now: datetime) -> Record:
    return _moved(record, Event.FROZEN, why, now, record.live)


def thawed(record: Record, live: Observation, now: datetime) -> Record:
    return _moved(record, Event.THAWED, "It was woken. OpenCode answers.", now, live)


def recognised(record: Record, live: Observation) -> Record:
    """The orchestrator was restarted and finds a frozen container as it was left."""
    return replace(record, live=live)


def ended(record: Record, end: str, now: datetime) -> Record:
    """It ended, and nobody here had asked for that.

    Once may happen to anybody, and it starts again when it is needed; again and again, ever
    later; and then not by itself any more, because nothing says that it would go better.
    """
    if record.state is State.STARTING:
        why = f"{end} It is started again when it is needed."
        moved = _moved(record, Event.GONE, why, now)
        # It counts as an end, because it is wanted back, but never as one of several in a row.
        return replace(moved, crashes=max(1, record.crashes), orderly=False, claimed=None)
    record = _one_more(record, now)
    if record.crashes == 1:
        return _moved(record, Event.GONE, f"{end} It is started again when it is needed.", now)
    return _again(record, Event.CRASHED, end, now)


def _one_more(record: Record, now: datetime) -> Record:
    """Count an end. How long it lived is told by its boot: a wake or an adoption is no new life."""
    lived = now - (record.booted_at or record.since)
    crashes = 1 if lived >= timedelta(seconds=STEADY_S) else record.crashes + 1
    return replace(record, crashes=crashes, orderly=False)


def _again(record: Record, event: Event, end: str, now: datetime) -> Record:
    crashes = record.crashes
    if crashes > CRASHES_ALLOWED:
        why = f"{end} It ended {crashes} times soon after it was ready, so it is left as it is."
        moved = _moved(record, event, why, now)
        return replace(moved, problem="crash_loop", retry_at=None)
    wait_s = wait_after(crashes - 1)
    why = (
        f"{end} That was the {_ORDINALS[crashes]} time in a row. It may start again in {wait_s} s."
    )
    moved = _moved(record, event, why, now)
    return replace(moved, problem="container_failed", retry_at=now + timedelta(seconds=wait_s))


_ORDINALS = ("", "first", "second", "third", "fourth")


def fell_silent(record: Record, why: str, now: datetime) -> Record:
    """It ran and does not answer: an end like any other, once it has been stopped for it."""
    record = _one_more(record, now)
    if record.crashes > 1:
        return _again(record, Event.SILENT, why, now)
    moved = _moved(record, Event.SILENT, f"{why} It is started again when it is needed.", now)
    return replace(moved, problem="container_failed", retry_at=now)


def lost_sight(record: Record, now: datetime) -> Record:
    """The orchestrator was restarted: what was ready may be, and is looked at before it counts."""
    why = "The orchestrator was restarted and looks for it."
    moved = _moved(record, Event.LOST_SIGHT, why, now)
    return replace(moved, phase=Phase.CHECKING)


def asked_to_stop(record: Record, why: str, now: datetime) -> Record:
    """Its server is shown until it has stopped: what runs there may finish."""
    return _moved(record, Event.STOP_ASKED, why, now, record.live)


def stopped(record: Record, why: str, now: datetime, *, orderly: bool) -> Record:
    moved = _moved(record, Event.STOPPED, why, now)
    return replace(
        moved,
        problem=None,
        failures=0,
        crashes=0,
        retry_at=None,
        claimed=None,
        awake_until=None,
        orderly=orderly,
    )


def cleared(record: Record, why: str) -> Record:
    """Its container was removed, its volume stays."""
    return replace(record, container_id=None, why=why)


def asked_to_remove(record: Record, now: datetime) -> Record:
    return _moved(record, Event.REMOVE_ASKED, "It is being deleted with its files.", now)


def wait_after(failures: int) -> int:
    """Seconds until the next automatic start: 1, 2, 4 … 60."""
    return min(LONGEST_WAIT_S, 1 << min(failures - 1, 10))


def is_too_early(record: Record, now: datetime) -> bool:
    """Whether a failed container may not be started without being forced."""
    if record.problem == "crash_loop":
        return True
    # A clock that was set back must not make anybody wait for what no failure asks for.
    return retry_after_s(record, now) > 0


def retry_after_s(record: Record, now: datetime) -> float:
    if record.retry_at is None:
        return 0.0
    wait_s = (record.retry_at - now).total_seconds()
    return 0.0 if wait_s > LONGEST_WAIT_S else max(0.0, wait_s)


def _moved(
    record: Record, event: Event, why: str, now: datetime, live: Observation | None = None
) -> Record:
    """The one place where a state is assigned; what was true of the old state alone is dropped."""
    row = TRANSITIONS[record.state]
    if event not in row:
        raise IllegalTransition(f"A container that is {record.state} can't have: {event}.")
    return replace(record, state=row[event], since=now, why=why, phase=None, live=live)
