"""Whether an orchestrator's records, its containers and its volumes agree, and in words what not.

The records are read from its database, the rest is asked of the engine by its own command line: no
word is taken from the orchestrator, which is what is tested.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from orchestrator.app import deployment as deployment_mark
from orchestrator.containers import Record, State, is_spare, key_of, name_of
from orchestrator.store import Store
from tests.support.engine import docker

_PASSING = (State.STARTING, State.STOPPING, State.REMOVING)
_STATUS = {State.READY: "running", State.FROZEN: "paused"}


@dataclass(frozen=True, slots=True)
class Picture:
    """`spares` are volumes by key, `containers` the engine's status by name."""

    records: Sequence[Record]
    spares: Mapping[str, str]
    containers: Mapping[str, str]
    volumes: Sequence[str]


def mark(state: Path) -> str:
    """The filter that lists what is this folder's deployment's."""
    key = (state / "keys" / "orchestrator.key").read_bytes().strip()
    return f"label=opencode-gateway.deployment={deployment_mark(key)}"


async def picture(state: Path) -> Picture:
    store = await Store.open(f"sqlite+aiosqlite:///{state / 'orchestrator.db'}")
    try:
        records, spares = await store.load(), await store.spares()
    finally:
        await store.aclose()
    chosen = await anyio.to_thread.run_sync(mark, state)
    shape = "{{.Names}} {{.State}}"
    listed = await _ask("ps", "-a", "--filter", chosen, "--format", shape)
    containers = dict(line.split() for line in listed.splitlines())
    volumes = await _ask("volume", "ls", "-q", "--filter", chosen)
    return Picture(records, spares, containers, volumes.split())


async def disagreements(state: Path) -> list[str]:
    return list(differences(await picture(state)))


def differences(seen: Picture) -> Iterator[str]:
    """What does not agree, a sentence each; nothing if all does."""
    for record in seen.records:
        yield from _of_record(record, seen)
    for key, volume in seen.spares.items():
        if seen.containers.get(name_of(key)) != "running" or volume not in seen.volumes:
            yield f"The spare {key} is written down and does not run."
    yield from _strays(seen)


def _of_record(record: Record, seen: Picture) -> Iterator[str]:
    who, status = (
        f"Session {record.session_id[:6]}",
        seen.containers.get(name_of(record.session_id)),
    )
    if record.state in _PASSING:
        yield f"{who} is still {record.state}: {record.why}"
    if record.claimed is not None:
        yield f"{who} still claims {record.claimed}."
    wanted = _STATUS.get(record.state)
    if wanted and status != wanted:
        yield f"{who} is {record.state}, and its container is {status}."
    if not wanted and status in _STATUS.values():
        yield f"{who} is {record.state}, and its container is {status}."
    if record.container_id is not None and record.volume not in seen.volumes:
        yield f"{who} has had a container, and its volume is gone."


def _strays(seen: Picture) -> Iterator[str]:
    sessions = {record.session_id for record in seen.records}
    for name in seen.containers:
        key = key_of(name)
        if key not in sessions and key not in seen.spares:
            yield f"The container {name} is nobody's."
        elif key is not None and is_spare(key) and key not in seen.spares:
            yield f"The spare {name} is not written down."
    known = {record.volume for record in seen.records} | set(seen.spares.values())
    for volume in set(seen.volumes) - known:
        yield f"The volume {volume} is nobody's."


async def _ask(*arguments: str) -> str:
    return await anyio.to_thread.run_sync(lambda: docker(*arguments))
