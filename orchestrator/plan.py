"""What an observation of a container calls for, given what is remembered of it.

Pure, and without time: a record and what the engine shows in, an action out. How the action is
carried out is its owner's business, what it makes of the record is `lifecycle`'s.
"""

from enum import StrEnum

from orchestrator.containers import Observation, Record, State


class Action(StrEnum):
    """What an observation calls for, without anybody asking."""

    NOTHING = "nothing"
    ADOPT = "adopt"
    RECOGNISE = "recognise"
    MARK_GONE = "mark gone"
    MARK_FROZEN = "mark frozen"
    MARK_THAWED = "mark thawed"
    STOP = "stop what nobody asked for"
    CLEAR_CLAIM = "clear a half-done claim away"
    FINISH_STOP = "finish the stop"
    FINISH_REMOVAL = "finish the removal"


class Way(StrEnum):
    """How to come from what is there to a running container."""

    CREATE = "create"
    REPLACE = "replace"
    RESTART = "restart"
    START = "start"


def plan(record: Record, seen: Observation | None) -> Action:
    """What must be done about one record, given what its engine shows."""
    match record.state:
        case State.REMOVING:
            return Action.FINISH_REMOVAL
        case State.STOPPING:
            return Action.FINISH_STOP
        case State.STARTING:
            return _plan_starting(record, seen)
        case State.READY:
            return _plan_ready(record, seen)
        case State.FROZEN:
            return _plan_frozen(record, seen)
        case State.NEW | State.STOPPED | State.FAILED:
            # Started by somebody else it lacks its secrets; hanging it serves nobody.
            return Action.STOP if seen is not None and seen.running else Action.NOTHING


def _plan_starting(record: Record, seen: Observation | None) -> Action:
    if record.claimed is not None:
        # It may run and answer without knowing whose it is: it must not pass for started.
        return Action.CLEAR_CLAIM
    return Action.ADOPT if seen is not None and seen.running else Action.MARK_GONE


def _plan_ready(record: Record, seen: Observation | None) -> Action:
    if seen is None or not _is_same(record, seen):
        return Action.MARK_GONE
    return Action.MARK_FROZEN if seen.frozen else Action.NOTHING


def _plan_frozen(record: Record, seen: Observation | None) -> Action:
    if seen is None or not _is_same(record, seen):
        return Action.MARK_GONE
    if not seen.frozen:
        return Action.MARK_THAWED
    return Action.RECOGNISE if record.live is None else Action.NOTHING


def _is_same(record: Record, seen: Observation) -> bool:
    """Whether it still is what answered: started again behind our back, it lacks its secrets."""
    same_boot = record.live is None or seen.boot == record.live.boot
    return seen.running and seen.container_id == record.container_id and same_boot


def way_to_start(seen: Observation | None, fingerprint: str, volume: str) -> Way:
    """How to start, given what is there and what its fingerprint and volume should be."""
    if seen is None:
        return Way.CREATE
    if seen.fingerprint != fingerprint or seen.volume != volume:
        return Way.REPLACE
    return Way.RESTART if seen.running else Way.START
