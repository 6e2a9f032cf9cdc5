"""A record as the gateway reads it: the one JSON shape of the orchestrator's answers and events.

Pure: the key that passwords derive from and the time are brought by the caller.
"""

from datetime import UTC, datetime
from typing import Any

from orchestrator import opencode
from orchestrator.containers import Record, State, name_of


def view(record: Record, key: bytes, now: datetime) -> dict[str, Any]:
    return {
        "session_id": record.session_id,
        "container": name_of(record.session_id),
        "container_id": record.container_id,
        "generation": record.generation,
        "state": record.state.value,
        "phase": record.phase and record.phase.value,
        "why": record.why,
        "problem": record.problem,
        "since": record.since.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "image": record.image,
        "volume": name_of(record.session_id),
        **_reach(record, key),
        "retry_after_s": retry_after_s(record, now),
        "timings": {
            "create_s": record.timings.create_s,
            "boot_s": record.timings.boot_s,
            "ready_s": record.timings.ready_s,
        },
    }


def retry_after_s(record: Record, now: datetime) -> float | None:
    """How long until a failed container may be started again without being forced."""
    if record.retry_at is None:
        return None
    return max(0.0, round((record.retry_at - now).total_seconds(), 3))


def _reach(record: Record, key: bytes) -> dict[str, Any]:
    """Where it answers and with which password: only while it does."""
    live = record.live
    if record.state is not State.READY or live is None or live.address is None:
        return {"address": None, "credential": None, "workspace": None}
    return {
        "address": {"host": live.address.host, "port": live.address.port},
        "credential": {
            "username": opencode.USERNAME,
            "password": opencode.password(key, live.nonce),
        },
        "workspace": live.workspace,
    }
