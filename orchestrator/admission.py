"""Whether one more container may start: by number, and by memory that is really used.

Pure: it is given what runs and the machine's room, and answers. It does not know how memory is
measured, what stops a container, or whose turn it is.
"""

import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.containers import Room, State

_MIB = 1 << 20
_GIB = 1 << 30
_LEAST_EXPECTED = 256 * _MIB  # an idle OpenCode was measured at 240 to 250 MB
_OWN_RETRY_S = 60.0  # somebody has to stop a session, or one has to fall idle
_ROOM_RETRY_S = 30.0  # among many, one falls idle sooner


@dataclass(frozen=True, slots=True)
class Allowance:
    """What all containers together may use, and those of one user; 0 is no limit.

    `memory_reserve_bytes` of the machine's own memory are kept free in any case.
    """

    max_containers: int
    max_containers_per_user: int
    memory_total_bytes: int
    memory_per_user_bytes: int
    memory_reserve_bytes: int


@dataclass(frozen=True, slots=True)
class Running:
    """A container that runs, or whose start was admitted; a spare is nobody's (`user_id` None).

    A start that still waits to be admitted is no `Running`, or two would keep each other out.
    `frozen_since` is a moment of the monotonic clock, None if it is not frozen.
    """

    key: str
    user_id: str | None
    state: State
    memory_bytes: int | None
    frozen_since: float | None = None
    busy: bool = False
    kept_awake: bool = False


@dataclass(frozen=True, slots=True)
class Admit:
    """Start it."""


@dataclass(frozen=True, slots=True)
class StopFirst:
    """Stop this one (or wait, if it is being stopped), then ask again. A spare is removed."""

    key: str
    why: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """No; nothing that may be stopped would make room."""

    code: str
    sentence: str
    retry_after_s: float


Decision = Admit | StopFirst | Refuse


@dataclass(frozen=True, slots=True)
class _Shortage:
    """A limit that one more container would pass, and whose containers count for it."""

    user_id: str | None
    sentence: str

    @property
    def refusal(self) -> Refuse:
        if self.user_id is None:
            return Refuse("no_room", self.sentence, _ROOM_RETRY_S)
        return Refuse("too_many_containers", self.sentence, _OWN_RETRY_S)


def expected_bytes(ready: Iterable[int]) -> int:
    """What a container will use, judged by those that are ready; never less than an idle one."""
    used = list(ready)
    return max(_LEAST_EXPECTED, int(statistics.median(used))) if used else _LEAST_EXPECTED


def decide(
    allowance: Allowance, running: Sequence[Running], room: Room, user_id: str, expected: int
) -> Decision:
    """Decide on one start that is not among the running. Nothing is stopped in vain: only if
    stopping would suffice, and then the one that is missed least."""
    shortage = next(_shortages(allowance, running, room, user_id, expected), None)
    if shortage is None:
        return Admit()
    stoppable = [each for each in running if _may_stop(each)]
    left = [each for each in running if not _may_stop(each)]
    freed = sum(each.memory_bytes or 0 for each in stoppable)
    roomier = Room(room.total_bytes, room.available_bytes + freed)
    unhelped = next(_shortages(allowance, left, roomier, user_id, expected), None)
    if unhelped is not None:
        return unhelped.refusal
    counting = [each for each in stoppable if shortage.user_id in (None, each.user_id)]
    key = _least_missed(counting)
    assert key is not None, "stopping them was found to suffice"
    return StopFirst(key, _why_stop(shortage))


def may_refill(allowance: Allowance, running: Sequence[Running], room: Room, expected: int) -> bool:
    """Whether the pool may make a spare now: only where nothing would have to be stopped for it."""
    return next(_everybodys(allowance, running, room, expected), None) is None


def relief(allowance: Allowance, running: Sequence[Running], room: Room) -> str | None:
    """Whom to stop because the machine has less memory to spare than it must; None if it has."""
    if room.available_bytes >= allowance.memory_reserve_bytes:
        return None
    return _least_missed(each for each in running if _may_stop(each))


def _may_stop(container: Running) -> bool:
    if container.state is State.STOPPING:
        return True  # it is on its way out: its room is worth waiting for
    if container.busy or container.kept_awake:
        return False
    return container.user_id is None or container.state is State.FROZEN


def _least_missed(stoppable: Iterable[Running]) -> str | None:
    found = min(stoppable, key=_how_missed, default=None)
    return None if found is None else found.key


def _how_missed(container: Running) -> tuple[bool, bool, float]:
    since = container.frozen_since
    return (
        container.state is not State.STOPPING,
        container.user_id is not None,
        float("-inf") if since is None else since,
    )


def _why_stop(shortage: _Shortage) -> str:
    another = "another session" if shortage.user_id is None else "another of your sessions"
    return (
        f"It was stopped to make room for {another}, as it had been frozen for longest. "
        "It is started again when it is needed."
    )


def _shortages(
    allowance: Allowance, running: Sequence[Running], room: Room, user_id: str, expected: int
) -> Iterator[_Shortage]:
    yield from _own(allowance, running, user_id, expected)
    yield from _everybodys(allowance, running, room, expected)


def _own(
    allowance: Allowance, running: Sequence[Running], user_id: str, expected: int
) -> Iterator[_Shortage]:
    own = [each for each in running if each.user_id == user_id]
    if 0 < allowance.max_containers_per_user <= len(own):
        yield _Shortage(
            user_id,
            f"At most {allowance.max_containers_per_user} of your sessions may have a running "
            "container: stop or delete one you don't need, or wait until one falls idle.",
        )
    held = sum(_held(each, expected) for each in own)
    if 0 < allowance.memory_per_user_bytes < held + expected:
        yield _Shortage(
            user_id,
            f"Your containers use {_size(held)} of the {_size(allowance.memory_per_user_bytes)} "
            f"of memory you may have, and one more needs about {_size(expected)}: stop or delete "
            "a session you don't need, or wait until one falls idle.",
        )


def _everybodys(
    allowance: Allowance, running: Sequence[Running], room: Room, expected: int
) -> Iterator[_Shortage]:
    if 0 < allowance.max_containers <= len(running):
        yield _Shortage(
            None,
            f"At most {allowance.max_containers} containers may run, and as many do: "
            "try again when one has fallen idle.",
        )
    held = sum(_held(each, expected) for each in running)
    if 0 < allowance.memory_total_bytes < held + expected:
        yield _Shortage(
            None,
            f"All containers together use {_size(held)} of the "
            f"{_size(allowance.memory_total_bytes)} of memory they may have, and one more needs "
            f"about {_size(expected)}: try again when one has fallen idle.",
        )
    promised = sum(_promised(each, expected) for each in running)
    spare = room.available_bytes - allowance.memory_reserve_bytes - promised
    if spare < expected:
        yield _Shortage(
            None,
            f"The machine has {_size(max(0, spare))} of memory to spare and one more container "
            f"needs about {_size(expected)}: try again when one has fallen idle.",
        )


def _promised(container: Running, expected: int) -> int:
    """What a start will still take: the machine does not miss it yet."""
    if container.state is not State.STARTING:
        return 0
    return max(0, expected - (container.memory_bytes or 0))


def _held(container: Running, expected: int) -> int:
    if container.memory_bytes is None:
        return expected
    return container.memory_bytes + _promised(container, expected)


def _size(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size // _MIB} MiB"
