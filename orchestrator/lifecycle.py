"""Where a container is in its life, and what may happen next.

Every transition is a row of TRANSITIONS; code elsewhere asks, it never assigns a state. Below the
table stands one function for each thing that can happen, and `plan`, which decides what an
observation calls for. Pure: the caller brings `now`, and nothing here knows Docker or a database.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum

from orchestrator.containers import Observation, Phase, Record, State, Timings


class Event(StrEnum):
    """What can happen to a container."""

    START_ASKED = "start asked"
    ANSWERED = "answered"
    START_FAILED = "start failed"
    GONE = "gone"
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
        Event.GONE: State.STOPPED,
        Event.SILENT: State.FAILED,
        Event.LOST_SIGHT: State.STARTING,
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


class Action(StrEnum):
    """What an observation calls for, without anybody asking."""

    NOTHING = "nothing"
    ADOPT = "adopt"
    MARK_GONE = "mark gone"
    FINISH_STOP = "finish the stop"
    FINISH_REMOVAL = "finish the removal"


class Way(StrEnum):
    """How to come from what is there to a running container."""

    CREATE = "create"
    REPLACE = "replace"
    RESTART = "restart"
    START = "start"


LONGEST_WAIT_S = 60


def allows(state: State, event: Event) -> bool:
    return event in TRANSITIONS[state]


def born(session_id: str, image: str, now: datetime) -> Record:
    return Record(session_id, 0, State.NEW, now, "It has not been started yet.", image)


def asked_to_start(record: Record, image: str, now: datetime) -> Record:
    moved = _moved(record, Event.START_ASKED, "It is being started.", now)
    return replace(
        moved,
        generation=record.generation + 1,
        image=image,
        phase=Phase.QUEUED,
        problem=None,
        retry_at=None,
        timings=Timings(),
    )


def answered(record: Record, live: Observation, timings: Timings, now: datetime) -> Record:
    moved = _moved(record, Event.ANSWERED, "OpenCode answers.", now)
    return replace(
        moved,
        live=live,
        container_id=live.container_id,
        timings=timings,
        failures=0,
        problem=None,
        retry_at=None,
    )


def start_failed(record: Record, problem: str, why: str, now: datetime) -> Record:
    failures = record.failures + 1
    # To ask an engine that sleeps costs nothing, and it may wake at any moment.
    wait = timedelta(seconds=wait_after(1 if problem == "engine_unavailable" else failures))
    moved = _moved(record, Event.START_FAILED, why, now)
    return replace(moved, problem=problem, failures=failures, retry_at=now + wait)


def gone(record: Record, why: str, now: datetime) -> Record:
    return _moved(record, Event.GONE, why, now)


def fell_silent(record: Record, why: str, now: datetime) -> Record:
    """It ran and did not answer: unlike a failed start, it may be started again at once."""
    return replace(_moved(record, Event.SILENT, why, now), problem="container_failed", retry_at=now)


def lost_sight(record: Record, now: datetime) -> Record:
    """The orchestrator was restarted: what was ready may be, and is looked at before it counts."""
    why = "The orchestrator was restarted and looks for it."
    moved = _moved(record, Event.LOST_SIGHT, why, now)
    return replace(moved, phase=Phase.CHECKING)


def asked_to_stop(record: Record, now: datetime) -> Record:
    return _moved(record, Event.STOP_ASKED, "It is being stopped.", now)


def stopped(record: Record, now: datetime) -> Record:
    why = "It was stopped. Its files are kept, and it starts again when it is needed."
    moved = _moved(record, Event.STOPPED, why, now)
    return replace(moved, problem=None, failures=0, retry_at=None)


def asked_to_remove(record: Record, now: datetime) -> Record:
    return _moved(record, Event.REMOVE_ASKED, "It is being deleted with its files.", now)


def wait_after(failures: int) -> int:
    """Seconds until the next automatic start: 1, 2, 4 … 60."""
    return min(LONGEST_WAIT_S, 1 << min(failures - 1, 10))


def plan(record: Record, seen: Observation | None) -> Action:
    """What must be done about one record, given what its engine shows."""
    running = seen is not None and seen.running
    match record.state:
        case State.REMOVING:
            return Action.FINISH_REMOVAL
        case State.STOPPING:
            return Action.FINISH_STOP
        case State.STARTING:
            return Action.ADOPT if running else Action.MARK_GONE
        case State.READY:
            return _plan_ready(record, seen)
        case State.NEW | State.STOPPED | State.FAILED:
            return Action.NOTHING


def _plan_ready(record: Record, seen: Observation | None) -> Action:
    if seen is None or not seen.running or seen.container_id != record.container_id:
        return Action.MARK_GONE
    # Started again behind our back: it lacks its secrets, so it can't be the one that answered.
    same = record.live is not None and seen.boot == record.live.boot
    return Action.NOTHING if same else Action.MARK_GONE


def way_to_start(seen: Observation | None, fingerprint: str) -> Way:
    """How to start, given what is there and what its fingerprint should be."""
    if seen is None:
        return Way.CREATE
    if seen.fingerprint != fingerprint:
        return Way.REPLACE
    return Way.RESTART if seen.running else Way.START


def _moved(record: Record, event: Event, why: str, now: datetime) -> Record:
    """The one place where a state is assigned; what was true of the old state alone is dropped."""
    row = TRANSITIONS[record.state]
    if event not in row:
        raise IllegalTransition(f"A container that is {record.state} can't have: {event}.")
    return replace(record, state=row[event], since=now, why=why, phase=None, live=None)
