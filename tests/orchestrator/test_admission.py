"""Whether one more container may start, and what has to go first."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.admission import (
    Admit,
    Allowance,
    Decision,
    Refuse,
    Running,
    StopFirst,
    decide,
    expected_bytes,
    may_refill,
)
from orchestrator.containers import Room, State

MIB = 1 << 20
NEED = 256 * MIB
ANY = Allowance(0, 0, 0, 0, 0)
ROOMY = Room(total_bytes=8192 * MIB, available_bytes=4096 * MIB)
FULL = Room(total_bytes=8192 * MIB, available_bytes=100 * MIB)


def ready(key: str, user: str | None = "ann", memory: int | None = NEED) -> Running:
    return Running(key, user, State.READY, memory)


def frozen(key: str, user: str = "ann", since: float | None = 10.0) -> Running:
    return Running(key, user, State.FROZEN, NEED, frozen_since=since)


def starting(key: str, user: str = "ann", memory: int | None = None) -> Running:
    return Running(key, user, State.STARTING, memory)


def stopping(key: str, user: str = "ann") -> Running:
    return Running(key, user, State.STOPPING, NEED, busy=True)


def asked(allowance: Allowance, *running: Running, room: Room = ROOMY) -> Decision:
    """Ann asks for one more."""
    return decide(allowance, running, room, "ann", NEED)


def outcome(decision: Decision) -> str:
    """`admit`, the code of a refusal, or the key of what is stopped."""
    match decision:
        case Admit():
            return "admit"
        case StopFirst(key):
            return key
        case Refuse(code):
            return code


TWO = replace(ANY, max_containers=2)
TWO_EACH = replace(ANY, max_containers_per_user=2)
GIB = replace(ANY, memory_total_bytes=1024 * MIB)
HALF_EACH = replace(ANY, memory_per_user_bytes=512 * MIB)
RESERVE = replace(ANY, memory_reserve_bytes=512 * MIB)


@pytest.mark.parametrize(
    ("allowance", "running", "room", "expected"),
    [
        pytest.param(ANY, [], ROOMY, "admit", id="nothing runs"),
        pytest.param(ANY, [ready("a")] * 50, ROOMY, "admit", id="0 is no limit"),
        pytest.param(TWO, [ready("a")], ROOMY, "admit", id="the last place of all"),
        pytest.param(TWO, [ready("a"), ready("b", "bob")], ROOMY, "no_room", id="all places taken"),
        pytest.param(TWO, [ready("a"), frozen("b", "bob")], ROOMY, "b", id="another's frozen one"),
        pytest.param(TWO_EACH, [ready("a"), ready("b", "bob")], ROOMY, "admit", id="one's last"),
        pytest.param(
            TWO_EACH, [ready("a"), ready("b")], ROOMY, "too_many_containers", id="one's own limit"
        ),
        pytest.param(
            TWO_EACH,
            [ready("a"), frozen("b", since=5), frozen("c", "bob", since=1)],
            ROOMY,
            "b",
            id="one's own frozen one",
        ),
        pytest.param(
            TWO_EACH,
            [ready("a"), ready("b"), frozen("c", "bob")],
            ROOMY,
            "too_many_containers",
            id="another's frozen one is no help to one's own limit",
        ),
        pytest.param(GIB, [ready(key) for key in "abc"], ROOMY, "admit", id="memory just enough"),
        pytest.param(GIB, [ready(key) for key in "abcd"], ROOMY, "no_room", id="memory all used"),
        pytest.param(
            GIB, [ready("a", memory=40 * MIB)] * 4, ROOMY, "admit", id="what is used counts"
        ),
        pytest.param(
            GIB, [starting(key) for key in "abcd"], ROOMY, "no_room", id="what will be used counts"
        ),
        pytest.param(
            GIB,
            [starting(key, memory=900 * MIB) for key in "a"],
            ROOMY,
            "no_room",
            id="a start that uses more than expected",
        ),
        pytest.param(GIB, [ready("a", memory=None)] * 4, ROOMY, "no_room", id="not measured yet"),
        pytest.param(HALF_EACH, [ready("a"), ready("b", "bob")], ROOMY, "admit", id="one's memory"),
        pytest.param(
            HALF_EACH,
            [ready("a"), ready("b")],
            ROOMY,
            "too_many_containers",
            id="one's memory used",
        ),
        pytest.param(ANY, [ready("a")], FULL, "no_room", id="the machine is full"),
        pytest.param(ANY, [frozen("a", "bob")], FULL, "a", id="stopping it makes room"),
        pytest.param(
            RESERVE,
            [frozen("a", "bob")],
            FULL,
            "no_room",
            id="stopping it would not suffice, so it lives",
        ),
        pytest.param(
            ANY,
            [starting("a")],
            Room(8192 * MIB, 511 * MIB),
            "no_room",
            id="another start has been promised the rest",
        ),
        pytest.param(
            ANY,
            [starting("a", memory=255 * MIB)],
            Room(8192 * MIB, 257 * MIB),
            "admit",
            id="another start has most of what it was promised",
        ),
        pytest.param(
            TWO,
            [frozen("a", since=20.0), frozen("b", since=10.0)],
            ROOMY,
            "b",
            id="frozen for longest",
        ),
        pytest.param(
            TWO,
            [frozen("a", since=20.0), frozen("b", since=None)],
            ROOMY,
            "b",
            id="frozen since before this run",
        ),
        pytest.param(
            TWO,
            [frozen("a", since=1.0), ready("s", user=None)],
            ROOMY,
            "s",
            id="a spare goes first",
        ),
        pytest.param(
            TWO,
            [frozen("a", since=1.0), stopping("b", "bob"), ready("s", user=None)],
            ROOMY,
            "b",
            id="what is being stopped is waited for before more is stopped",
        ),
        pytest.param(
            TWO,
            [ready("a"), replace(frozen("b"), busy=True)],
            ROOMY,
            "no_room",
            id="a busy one stays",
        ),
        pytest.param(
            TWO,
            [ready("a"), replace(frozen("b"), kept_awake=True)],
            ROOMY,
            "no_room",
            id="one that is kept awake stays",
        ),
        pytest.param(
            TWO, [ready("a"), starting("b")], ROOMY, "no_room", id="one that starts stays"
        ),
        pytest.param(
            TWO,
            [ready("a"), Running("s", None, State.STARTING, None)],
            ROOMY,
            "s",
            id="even a spare that starts makes room",
        ),
        pytest.param(
            TWO,
            [frozen("a", since=None), ready("s", user=None)],
            ROOMY,
            "s",
            id="a spare goes before whatever is somebody's",
        ),
        pytest.param(
            GIB,
            [starting(key, memory=40 * MIB) for key in "abcd"],
            ROOMY,
            "no_room",
            id="a start will use more than it does now",
        ),
        pytest.param(
            replace(TWO_EACH, max_containers=2),
            [ready("a"), ready("b")],
            ROOMY,
            "too_many_containers",
            id="one's own limit is told first: one can do something about it",
        ),
        pytest.param(
            replace(TWO_EACH, max_containers=3),
            [ready("a"), frozen("b"), ready("c", "bob"), ready("d", "bob")],
            ROOMY,
            "no_room",
            id="nothing of one's own is stopped if all is full anyway",
        ),
    ],
)
def test_the_table_of_decisions(
    allowance: Allowance, running: Sequence[Running], room: Room, expected: str
) -> None:
    assert outcome(asked(allowance, *running, room=room)) == expected


def test_a_refusal_names_the_limit_and_what_to_do() -> None:
    assert asked(TWO_EACH, ready("a"), ready("b")) == Refuse(
        "too_many_containers",
        "At most 2 of your sessions may have a running container: stop or delete one you don't "
        "need, or wait until one falls idle.",
        60.0,
    )


@pytest.mark.parametrize(
    ("allowance", "running", "room", "words"),
    [
        (HALF_EACH, 2, ROOMY, "Your containers use 512 MiB of the 512 MiB of memory you may have"),
        (TWO, 2, ROOMY, "At most 2 containers may run"),
        (GIB, 4, ROOMY, "use 1.0 GiB of the 1.0 GiB of memory they may have"),
        (ANY, 0, FULL, "The machine has 100 MiB of memory to spare"),
        (RESERVE, 0, FULL, "The machine has 0 MiB of memory to spare"),
    ],
)
def test_each_limit_has_its_sentence(
    allowance: Allowance, running: int, room: Room, words: str
) -> None:
    decision = asked(allowance, *(ready(str(key)) for key in range(running)), room=room)

    assert isinstance(decision, Refuse)
    assert words in decision.sentence


@pytest.mark.parametrize(
    ("allowance", "words"),
    [(TWO, "make room for another session"), (TWO_EACH, "make room for another of your sessions")],
)
def test_whose_container_is_stopped_can_read_why(allowance: Allowance, words: str) -> None:
    decision = asked(allowance, ready("a"), frozen("b"))

    assert isinstance(decision, StopFirst)
    assert words in decision.why


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ([], 256),
        ([100, 120], 256),
        ([300, 900, 400], 400),
        ([300, 400], 350),
    ],
)
def test_a_container_is_expected_to_use_what_ready_ones_do(used: list[int], expected: int) -> None:
    assert expected_bytes(each * MIB for each in used) == expected * MIB


@pytest.mark.parametrize(
    ("allowance", "running", "room", "expected"),
    [
        pytest.param(ANY, [], ROOMY, True, id="there is room"),
        pytest.param(ANY, [], FULL, False, id="the machine is full"),
        pytest.param(ANY, [frozen("a")], FULL, False, id="nothing is stopped for a spare"),
        pytest.param(TWO, [ready("a"), ready("b")], ROOMY, False, id="all places taken"),
        pytest.param(GIB, [ready("a")] * 4, ROOMY, False, id="memory all used"),
        pytest.param(TWO_EACH, [ready("a"), ready("b")], ROOMY, True, id="a spare is nobody's"),
    ],
)
def test_a_spare_is_made_only_where_there_is_room(
    allowance: Allowance, running: Sequence[Running], room: Room, expected: bool
) -> None:
    assert may_refill(allowance, running, room, NEED) is expected


LIMIT = st.sampled_from([0, 1, 2, 3, 5])
MEMORY = st.sampled_from([0, 300 * MIB, 600 * MIB, 1500 * MIB])
ALLOWANCES = st.builds(Allowance, LIMIT, LIMIT, MEMORY, MEMORY, MEMORY)
CONTAINERS = st.lists(
    st.builds(
        Running,
        key=st.just(""),
        user_id=st.sampled_from(["ann", "bob", None]),
        state=st.sampled_from([State.STARTING, State.READY, State.FROZEN, State.STOPPING]),
        memory_bytes=st.none() | st.integers(0, 400 * MIB),
        frozen_since=st.none() | st.floats(0, 100),
        busy=st.booleans(),
        kept_awake=st.booleans(),
    ),
    max_size=6,
).map(lambda each: [replace(one, key=str(number)) for number, one in enumerate(each)])
ROOMS = st.integers(0, 3000 * MIB).map(lambda available: Room(4096 * MIB, available))


def fits(allowance: Allowance, running: Sequence[Running], room: Room) -> bool:
    """Written down once more, plainly: with Ann's new one, is every limit kept?"""
    will_use = {
        each.key: max(each.memory_bytes or 0, NEED)
        if each.state is State.STARTING or each.memory_bytes is None
        else each.memory_bytes
        for each in running
    }
    own = [each for each in running if each.user_id == "ann"]
    still_to_come = sum(
        will_use[each.key] - (each.memory_bytes or 0)
        for each in running
        if each.state is State.STARTING
    )
    needs_and_limits = [
        (len(running) + 1, allowance.max_containers),
        (len(own) + 1, allowance.max_containers_per_user),
        (sum(will_use.values()) + NEED, allowance.memory_total_bytes),
        (sum(will_use[each.key] for each in own) + NEED, allowance.memory_per_user_bytes),
    ]
    machine = room.available_bytes - still_to_come - NEED >= allowance.memory_reserve_bytes
    return machine and all(limit in (0, max(need, limit)) for need, limit in needs_and_limits)


def must_stay(container: Running) -> bool:
    if container.state is State.STOPPING:
        return False
    somebodys = container.state is State.READY and container.user_id is not None
    return container.state is State.STARTING or container.busy or container.kept_awake or somebodys


@given(ALLOWANCES, CONTAINERS, ROOMS)
@settings(max_examples=400)
def test_it_is_admitted_exactly_when_everything_fits(
    allowance: Allowance, running: list[Running], room: Room
) -> None:
    admitted = asked(allowance, *running, room=room) == Admit()

    assert admitted == fits(allowance, running, room)


@given(ALLOWANCES, CONTAINERS, ROOMS)
@settings(max_examples=400)
def test_only_what_nobody_misses_is_stopped_and_never_in_vain(
    allowance: Allowance, running: list[Running], room: Room
) -> None:
    while isinstance(decision := asked(allowance, *running, room=room), StopFirst):
        stopped = next(each for each in running if each.key == decision.key)
        assert not must_stay(stopped)
        running = [each for each in running if each is not stopped]
        room = replace(room, available_bytes=room.available_bytes + (stopped.memory_bytes or 0))
        assert not isinstance(asked(allowance, *running, room=room), Refuse)


@given(ALLOWANCES, CONTAINERS, ROOMS)
@settings(max_examples=400)
def test_it_is_refused_exactly_when_nothing_that_may_be_stopped_would_help(
    allowance: Allowance, running: list[Running], room: Room
) -> None:
    stay = [each for each in running if must_stay(each)]
    freed = sum(each.memory_bytes or 0 for each in running if not must_stay(each))
    roomier = replace(room, available_bytes=room.available_bytes + freed)
    refused = isinstance(asked(allowance, *running, room=room), Refuse)

    assert refused == (not fits(allowance, stay, roomier))
