"""Who starts next, and what those who wait are told."""

from collections import Counter, defaultdict
from collections.abc import Callable

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.turns import Queue, Turns

USERS = ["ann", "bob", "cleo", "dan"]


def joined(turns: Turns, *sessions: str) -> None:
    """Join `a1` for user `a`, and so on."""
    for session in sessions:
        turns.join(session[0], session)


def test_the_user_with_the_fewest_starts_under_way_is_next() -> None:
    turns = Turns(2)
    joined(turns, "a1", "a2", "a3")
    turns.call()
    joined(turns, "b1")
    turns.leave("a", "a1")

    assert turns.call() == ["b1"]


def test_among_equals_the_last_turn_longest_ago_is_next() -> None:
    turns = Turns(1)
    joined(turns, "a1", "a2", "b1", "b2")
    order = []
    for _ in range(4):
        order += turns.call()
        turns.leave(order[-1][0], order[-1])

    assert order == ["a1", "b1", "a2", "b2"]


def test_a_user_is_served_in_the_order_of_coming() -> None:
    turns = Turns(3)
    joined(turns, "a2", "a3", "a1")

    assert turns.call() == ["a2", "a3", "a1"]


def test_a_newcomer_is_not_before_who_waits_already() -> None:
    turns = Turns(1)
    joined(turns, "a1")
    turns.call()
    joined(turns, "b1", "c1")
    turns.leave("a", "a1")

    assert turns.line() == ["b1", "c1"]


def test_the_line_is_the_order_in_which_they_would_be_called() -> None:
    turns = Turns(1)
    joined(turns, "a0")
    turns.call()
    joined(turns, "a1", "a2", "b1", "b2", "c1")

    assert turns.line() == ["b1", "c1", "a1", "b2", "a2"]


def test_a_session_has_one_start_at_a_time() -> None:
    turns = Turns(1)
    joined(turns, "a1")

    with pytest.raises(ValueError, match="one start at a time"):
        joined(turns, "a1")


def test_nothing_is_remembered_of_users_who_are_gone() -> None:
    turns = Turns(1)
    joined(turns, "a1", "b1")
    turns.call()
    turns.leave("a", "a1")
    turns.leave("b", "b1")

    assert turns._users == {}


class Model:
    """A queue under random steps, watched: who starts, who waits, who was passed over by whom."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.places = places
        self.waiting: dict[str, list[str]] = defaultdict(list)
        self.starting: dict[str, list[str]] = defaultdict(list)
        self.passed: dict[str, Counter[str]] = defaultdict(Counter)
        self.users: dict[str, str] = {}

    def step(self, what: str, user: str) -> None:
        if what == "join":
            session = f"{user}{len(self.users)}"
            self.users[session] = user
            self.turns.join(user, session)
            self.waiting[user].append(session)
        elif what == "end" and self.starting[user]:
            self.turns.leave(user, self.starting[user].pop(0))
        elif what == "cancel" and self.waiting[user]:
            self.turns.leave(user, self.waiting[user].pop())
        self._call()

    def _call(self) -> None:
        expected = self.turns.line()
        called = self.turns.call()
        assert called == expected[: len(called)]
        for session in called:
            self._start(session)
        assert self.turns.line() == expected[len(called) :]

    def _start(self, session: str) -> None:
        user = self.users[session]
        for other in USERS:
            if self.waiting[other] and other != user:
                assert len(self.starting[user]) <= len(self.starting[other])
                self.passed[other][user] += not self.starting[other]
        assert self.waiting[user].pop(0) == session
        self.starting[user].append(session)
        self.passed[user].clear()

    def check(self) -> None:
        starting = sum(map(len, self.starting.values()))
        waiting = sorted(session for each in self.waiting.values() for session in each)
        assert starting <= self.places
        assert sorted(self.turns.line()) == waiting
        assert starting == self.places or not waiting
        assert all(times <= 1 for each in self.passed.values() for times in each.values())


STEPS = st.lists(
    st.tuples(st.sampled_from(["join", "join", "end", "cancel"]), st.sampled_from(USERS)),
    max_size=60,
)


@given(st.integers(1, 4), STEPS)
def test_in_any_order_of_events_no_place_is_lost_and_nobody_is_passed_over_twice(
    places: int, steps: list[tuple[str, str]]
) -> None:
    model = Model(places)
    for what, user in steps:
        model.step(what, user)
        if what == "cancel" and not model.waiting[user]:
            model.passed[user].clear()
        model.check()


@given(st.integers(1, 4), STEPS)
def test_everybody_who_stays_gets_a_turn(places: int, steps: list[tuple[str, str]]) -> None:
    model = Model(places)
    for what, user in steps:
        model.step(what, user)
    while any(model.starting.values()):
        model.step("end", next(user for user in USERS if model.starting[user]))

    assert not any(model.waiting.values())


@given(st.integers(1, 9), st.lists(st.sampled_from(USERS), max_size=60))
def test_shares_differ_by_at_most_one_while_all_have_waiters(places: int, ends: list[str]) -> None:
    model = Model(0)
    for user in USERS * 9:
        model.step("join", user)
    model.turns._free = places
    for user in ends:
        model.step("end", user)
        for each in USERS:
            model.step("join", each)
        shares = [len(model.starting[each]) for each in USERS]
        assert max(shares) - min(shares) <= 1


@given(st.lists(st.integers(1, 8), min_size=2, max_size=4))
def test_with_one_place_turns_differ_by_at_most_one_while_two_have_waiters(
    numbers: list[int],
) -> None:
    model = Model(1)
    for user, number in zip(USERS, numbers, strict=False):
        for _ in range(number):
            model.step("join", user)
    turns: Counter[str] = Counter()
    while any(model.starting.values()):
        user = next(user for user in USERS if model.starting[user])
        turns[user] += 1
        model.step("end", user)
        have = [turns[each] for each in USERS if model.waiting[each]]
        assert not have or max(have) - min(have) <= 1


class Person:
    """One start that waits, holds its place until it is told to end, and notes what it hears."""

    def __init__(self, queue: Queue, name: str) -> None:
        self.heard: list[tuple[int, int]] = []
        self.started = anyio.Event()
        self.end = anyio.Event()
        self.scope = anyio.CancelScope()
        self.hears: Callable[[], object] = lambda: None
        self._queue = queue
        self._name = name

    async def __call__(self) -> None:
        with self.scope:
            async with self._queue.place(self._name[0], self._name, self._moved):
                self.started.set()
                await self.end.wait()

    def _moved(self, place: int, of: int) -> None:
        self.heard.append((place, of))
        self.hears()


async def settled() -> None:
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def come(group: anyio.abc.TaskGroup, queue: Queue, *names: str) -> list[Person]:
    people = [Person(queue, name) for name in names]
    for person in people:
        group.start_soon(person)
    await settled()
    return people


async def test_a_free_place_is_had_at_once_and_nobody_hears_of_a_queue() -> None:
    queue = Queue(1)
    async with anyio.create_task_group() as group:
        (ann,) = await come(group, queue, "a")

        assert (ann.started.is_set(), ann.heard, queue.waiting) == (True, [], 0)
        ann.end.set()


async def test_who_waits_hears_each_new_place_once() -> None:
    queue = Queue(1)
    async with anyio.create_task_group() as group:
        ann, bob, cleo = await come(group, queue, "a", "b", "c")
        assert queue.waiting == 2
        ann.end.set()
        await settled()
        bob.end.set()
        await cleo.started.wait()
        cleo.end.set()

    assert (bob.heard, cleo.heard) == ([(1, 1)], [(2, 2), (1, 1)])


async def test_who_is_overtaken_hears_it() -> None:
    queue = Queue(1)
    async with anyio.create_task_group() as group:
        people = await come(group, queue, "a1", "a2", "b1")
        for person in people:
            person.end.set()

    assert people[1].heard == [(1, 1), (2, 2), (1, 1)]


async def test_a_waiter_who_gives_up_leaves_no_hole() -> None:
    queue = Queue(1)
    async with anyio.create_task_group() as group:
        ann, bob, cleo = await come(group, queue, "a", "b", "c")
        bob.scope.cancel()
        await settled()
        assert (cleo.heard, queue.waiting) == ([(2, 2), (1, 1)], 1)
        ann.end.set()
        await cleo.started.wait()
        cleo.end.set()

    assert not bob.started.is_set()


def fails() -> None:
    raise RuntimeError("a start failed")


async def test_a_start_that_fails_gives_its_place_back() -> None:
    queue = Queue(1)
    with pytest.raises(RuntimeError, match="a start failed"):
        async with queue.place("a", "a1", lambda place, of: None):
            fails()

    async with anyio.create_task_group() as group:
        (ann,) = await come(group, queue, "a1")
        assert ann.started.is_set()
        ann.end.set()


async def test_who_is_cancelled_when_just_called_passes_the_place_on() -> None:
    queue = Queue(1)
    async with anyio.create_task_group() as group:
        ann, bob, cleo = await come(group, queue, "a", "b", "c")
        assert cleo.heard == [(2, 2)]
        cleo.hears = bob.scope.cancel  # she moves up at the very moment he is called
        ann.end.set()
        await cleo.started.wait()
        cleo.end.set()

    assert queue._turns._free == 1


ACTS: dict[str, Callable[[Person], None]] = {
    "end": lambda person: person.end.set(),
    "cancel": lambda person: person.scope.cancel(),
}


@given(
    st.integers(1, 3),
    st.lists(
        st.tuples(st.sampled_from(sorted(ACTS)), st.integers(0, 11), st.booleans()), max_size=20
    ),
)
@settings(deadline=None)
async def test_whoever_is_cancelled_at_whatever_moment_every_place_comes_back(
    places: int, acts: list[tuple[str, int, bool]]
) -> None:
    queue = Queue(places)
    async with anyio.create_task_group() as group:
        people = await come(group, queue, *(f"{'abc'[number % 3]}{number}" for number in range(12)))
        for act, number, pause in acts:
            ACTS[act](people[number])
            if pause:
                await anyio.lowlevel.checkpoint()
            inside = [each for each in people if each.started.is_set() and not each.end.is_set()]
            assert len([each for each in inside if not each.scope.cancel_called]) <= places
        for person in people:
            person.end.set()

    assert (queue.waiting, queue._turns._users, queue._turns._free) == (0, {}, places)
