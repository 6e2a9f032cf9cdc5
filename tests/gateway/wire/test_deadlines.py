"""Who is told that its deadline has passed, and how often."""

import asyncio

from gateway.wire.deadlines import TICK_S, Deadlines
from tests.support.wire import within


class Bounded:
    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.expired = asyncio.Event()
        self.times = 0

    def expire(self) -> None:
        self.times += 1
        self.expired.set()


def test_only_the_late_are_told_and_only_once() -> None:
    deadlines = Deadlines()
    late, due, early, idle = Bounded(9.0), Bounded(10.0), Bounded(11.0), Bounded(None)
    for bounded in (late, due, early, idle):
        deadlines.watch(bounded)

    deadlines.sweep(10.0)
    deadlines.sweep(10.0)

    assert [b.times for b in (late, due, early, idle)] == [1, 1, 0, 0]


def test_new_deadline_set_while_expiring_counts_again() -> None:
    class Renewed(Bounded):
        def expire(self) -> None:
            super().expire()
            self.deadline = 20.0

    deadlines, renewed = Deadlines(), Renewed(10.0)
    deadlines.watch(renewed)
    for now in (10.0, 15.0, 20.0):
        deadlines.sweep(now)

    assert renewed.times == 2


def test_those_who_left_are_not_told() -> None:
    deadlines, bounded = Deadlines(), Bounded(1.0)
    deadlines.watch(bounded)
    deadlines.unwatch(bounded)
    deadlines.sweep(2.0)

    assert bounded.times == 0


async def test_sweep_runs_within_a_tick() -> None:
    deadlines, bounded = Deadlines(), Bounded(0.0)
    deadlines.watch(bounded)
    async with asyncio.TaskGroup() as beside:
        sweeping = beside.create_task(deadlines.run())
        async with asyncio.timeout(4 * TICK_S):
            await within(bounded.expired.wait())
        sweeping.cancel()
