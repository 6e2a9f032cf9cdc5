"""A container as the gateway reads it: the one JSON shape of the orchestrator's answers and events.

Pure: the key that passwords derive from and the time are brought by the caller.
"""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator import opencode
from orchestrator.charge import Charge
from orchestrator.containers import Record, State, name_of
from orchestrator.ladder import Step
from orchestrator.lifecycle import retry_after_s

_LIVES = (State.READY, State.FROZEN, State.STOPPING)


def view(charge: Charge, key: bytes, now: datetime) -> dict[str, Any]:
    record = charge.record
    return {
        "session_id": record.session_id,
        "container": name_of(record.session_id),
        "container_id": record.container_id,
        "generation": record.generation,
        "state": record.state.value,
        "phase": record.phase and record.phase.value,
        "why": record.why,
        "problem": record.problem,
        # It was stopped by somebody or for want of use; what ended by itself is wanted back.
        "at_rest": record.state is State.STOPPED and record.crashes == 0,
        "since": _rfc3339(record.since),
        "image": record.image,
        "volume": record.volume,
        **_reach(record, key),
        "retry_after_s": _retry_after_s(record, now),
        "queue": charge.queue and {"place": charge.queue[0], "of": charge.queue[1]},
        "timings": asdict(record.timings),
        **_doings(charge, now),
        **_prospects(charge, now),
    }


def _retry_after_s(record: Record, now: datetime) -> float | None:
    return None if record.retry_at is None else round(retry_after_s(record, now), 3)


def _doings(charge: Charge, now: datetime) -> dict[str, Any]:
    """What it is doing, what it uses, and what it left unfinished."""
    attendant = charge.attendant
    rest_s = charge.rested_s()
    return {
        "version": attendant.version,
        "busy": attendant.busy(),
        "idle_since": None if rest_s is None else _rfc3339(now - timedelta(seconds=rest_s)),
        "memory_bytes": attendant.memory_bytes,
        "interrupted": attendant.interrupted(),
    }


def _prospects(charge: Charge, now: datetime) -> dict[str, Any]:
    """What comes next, and when."""
    record, step = charge.record, charge.next_step()
    awake = record.awake_until is not None and record.awake_until > now
    return {
        "next": _next(record, step, now),
        "awake_until": _rfc3339(record.awake_until) if awake and record.awake_until else None,
    }


def _next(record: Record, step: Step | None, now: datetime) -> dict[str, Any] | None:
    if record.state is State.FAILED and record.retry_at is not None:
        return _due("start", retry_after_s(record, now), now)
    return None if step is None else _due(step.rung.value, step.in_s, now)


def _due(action: str, in_s: float, now: datetime) -> dict[str, Any]:
    at = _rfc3339(now + timedelta(seconds=in_s))
    return {"action": action, "at": at, "in_s": round(in_s, 1)}


def _reach(record: Record, key: bytes) -> dict[str, Any]:
    """Where it answers and with which password: only while its server lives."""
    live = record.live
    if record.state not in _LIVES or live is None or live.address is None:
        return {"address": None, "credential": None, "workspace": None}
    return {
        "address": {"host": live.address.host, "port": live.address.port},
        "credential": {
            "username": opencode.USERNAME,
            "password": opencode.password(key, live.nonce),
        },
        "workspace": live.workspace,
    }


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
