"""Of two orchestrators on one database, one acts."""

import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from pathlib import Path

import anyio
import pytest
import sqlalchemy as sa  # noqa: TID251 - the tests make the table and hold it locked
from sqlalchemy.ext.asyncio import create_async_engine  # noqa: TID251

from orchestrator.errors import OrchestratorError
from orchestrator.lease import Lease, identity_of
from orchestrator.lease_row import _LEASES, LeaseRow
from tests.support import postgresql


@dataclass
class Clock:
    """Monotonic time that passes only when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Orchestrators:
    """Leases on one database, each closed at the end."""

    url: str
    clock: Clock = field(default_factory=Clock)
    made: list[Lease] = field(default_factory=list)

    def one(self, identity: str) -> Lease:
        """Its time passes only with `clock`."""
        self.made.append(Lease(self.url, identity, self.clock))
        return self.made[-1]

    def quick(self, identity: str) -> Lease:
        """Its time is real, and short."""
        self.made.append(Lease(self.url, identity, renew_s=0.1, lapse_s=1.0))
        return self.made[-1]

    @asynccontextmanager
    async def hanging(self) -> AsyncIterator[None]:
        """Meanwhile the database answers nobody."""
        lock = "BEGIN IMMEDIATE" if self.url.startswith("sqlite") else "LOCK TABLE lease"
        engine = create_async_engine(self.url)
        async with engine.connect() as connection:
            await connection.execute(sa.text(lock))
            yield
        await engine.dispose()


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    with postgresql.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def orchestrators(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Orchestrators]:
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/orchestrator.db"
    else:
        url = request.getfixturevalue("postgresql_url")
    await make_table(url)
    orchestrators = Orchestrators(url)
    yield orchestrators
    for lease in orchestrators.made:
        await lease.aclose()


async def make_table(url: str) -> None:
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        await connection.run_sync(_LEASES.metadata.drop_all)
        await connection.run_sync(_LEASES.metadata.create_all)
    await engine.dispose()


def wall_clock_ahead(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    class Ahead(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> "Ahead":
            return cls.fromtimestamp(time.time(), tz)

    true = time.time
    monkeypatch.setattr(time, "time", lambda: true() + by.total_seconds())
    monkeypatch.setattr("orchestrator.lease.datetime", Ahead)


async def test_the_first_gets_it_and_the_second_is_told_who_has_it(
    orchestrators: Orchestrators,
) -> None:
    first, second = orchestrators.one("a"), orchestrators.one("b")

    assert (await first.take(), await second.take()) == (True, False)
    assert (first.held, second.held) == (True, False)
    assert second.holder.startswith(f"Another orchestrator ({os.uname().nodename}, since 2")
    assert second.holder.endswith(" UTC) holds the lease.")
    assert first.holder.startswith("This orchestrator (")


async def test_of_those_who_come_at_once_exactly_one_gets_it(orchestrators: Orchestrators) -> None:
    leases = [orchestrators.one(identity) for identity in "abcdef"]
    async with anyio.create_task_group() as group:
        for lease in leases:
            group.start_soon(lease.take)

    assert [lease.held for lease in leases].count(True) == 1


async def test_of_those_who_wait_for_a_dead_one_exactly_one_gets_it(
    orchestrators: Orchestrators,
) -> None:
    await orchestrators.one("dead").take()
    leases = [orchestrators.one(identity) for identity in "abcdef"]
    for lease in leases:
        await lease.take()
    orchestrators.clock.now += 10
    async with anyio.create_task_group() as group:
        for lease in leases:
            group.start_soon(lease.take)

    assert [lease.held for lease in leases].count(True) == 1


async def test_a_silent_one_knows_that_its_time_is_over_before_another_takes_it(
    orchestrators: Orchestrators,
) -> None:
    first, second = orchestrators.one("a"), orchestrators.one("b")
    await first.take()
    await second.take()
    orchestrators.clock.now += 7.9
    assert first.held
    orchestrators.clock.now += 0.1
    assert not first.held
    orchestrators.clock.now += 1.9
    assert not await second.take()
    orchestrators.clock.now += 0.1

    assert await second.take()


async def test_a_beat_in_time_keeps_the_others_off(orchestrators: Orchestrators) -> None:
    first, second = orchestrators.one("a"), orchestrators.one("b")
    for _ in range(5):
        assert await first.take()
        assert not await second.take()
        orchestrators.clock.now += 7.9

    assert first.held


async def test_who_looks_for_the_first_time_can_not_tell_that_the_holder_is_silent(
    orchestrators: Orchestrators,
) -> None:
    await orchestrators.one("a").take()
    orchestrators.clock.now += 1000

    assert not await orchestrators.one("b").take()


async def test_given_up_and_taken_again_is_not_unchanged(orchestrators: Orchestrators) -> None:
    first, second = orchestrators.one("a"), orchestrators.one("b")
    await first.take()
    await first.take()
    await second.take()
    orchestrators.clock.now += 5
    await first.give_up()
    await first.take()
    orchestrators.clock.now += 5

    assert not await second.take()


async def test_a_beat_just_before_it_is_taken_keeps_it(orchestrators: Orchestrators) -> None:
    lease, row = orchestrators.one("a"), LeaseRow(orchestrators.url)
    await lease.take()
    seen = await row.read()
    assert seen is not None
    await lease.take()

    assert not await row.replace(seen, replace(seen, holder="b"))
    await row.aclose()


async def test_what_is_given_up_is_had_at_once(orchestrators: Orchestrators) -> None:
    first, second = orchestrators.one("a"), orchestrators.one("b")
    await first.take()
    await second.take()
    await first.give_up()

    assert not first.held
    assert await second.take()


async def test_giving_up_what_another_has_by_now_takes_nothing_from_it(
    orchestrators: Orchestrators,
) -> None:
    first, second = orchestrators.one("a"), orchestrators.one("b")
    await first.take()
    await second.take()
    orchestrators.clock.now += 10
    await second.take()
    await first.give_up()

    assert not await orchestrators.one("c").take()


async def test_the_next_process_of_the_same_folder_takes_it_at_once(
    orchestrators: Orchestrators,
) -> None:
    await orchestrators.one("a").take()

    assert await orchestrators.one("a").take()


async def test_two_of_one_identity_do_not_take_it_from_each_other_for_ever(
    orchestrators: Orchestrators,
) -> None:
    original, clone = orchestrators.one("a"), orchestrators.one("a")
    await original.take()
    await clone.take()

    assert not await original.take()


async def test_who_lost_it_because_the_database_was_away_takes_it_back_at_once(
    orchestrators: Orchestrators,
) -> None:
    lease = orchestrators.one("a")
    await lease.take()
    orchestrators.clock.now += 9

    assert not lease.held
    assert await lease.take()


async def test_an_answer_that_comes_too_late_brings_nothing_back(
    orchestrators: Orchestrators,
) -> None:
    lease = orchestrators.one("a")
    await lease.take()
    orchestrators.clock.now += 8
    await lease._renew()

    assert not lease.held


async def test_a_kept_lease_is_kept(orchestrators: Orchestrators) -> None:
    first, second = orchestrators.quick("a"), orchestrators.quick("b")
    await first.take()
    async with anyio.create_task_group() as group:
        group.start_soon(first.keep, group.cancel_scope.cancel)
        with anyio.move_on_after(2.5):
            await second.stand_by()
        assert (first.held, second.held) == (True, False)
        group.cancel_scope.cancel()


async def test_a_database_that_hangs_costs_the_lease_in_time_and_is_survived(
    orchestrators: Orchestrators,
) -> None:
    first, second = orchestrators.quick("a"), orchestrators.quick("b")
    await first.take()
    await second.take()
    told: list[float] = []
    asked = anyio.current_time()
    async with orchestrators.hanging():
        with anyio.fail_after(15):
            await first.keep(lambda: told.append(anyio.current_time() - asked))
        assert not first.held
        with anyio.move_on_after(0.5):
            await second.stand_by()
        assert not second.held
    with anyio.fail_after(15):
        await second.stand_by()

    assert [waited < 1 for waited in told] == [True]
    assert (first.held, second.held) == (False, True)


async def test_who_finds_another_holding_it_is_told(orchestrators: Orchestrators) -> None:
    original, clone = orchestrators.quick("a"), orchestrators.quick("a")
    await original.take()
    await clone.take()
    told: list[bool] = []
    with anyio.fail_after(0.7):  # well before its time would have been over
        await original.keep(lambda: told.append(original.held))

    assert told == [False]


async def test_a_clean_end_is_not_held_up_by_a_database_that_hangs(
    orchestrators: Orchestrators,
) -> None:
    lease = orchestrators.quick("a")
    await lease.take()
    async with orchestrators.hanging():
        with anyio.fail_after(10):
            await lease.give_up()

    assert not lease.held


async def test_a_keeping_that_is_ended_can_be_given_up(orchestrators: Orchestrators) -> None:
    first, second = orchestrators.quick("a"), orchestrators.quick("b")
    await first.take()
    with anyio.move_on_after(0.25):
        await first.keep(lambda: None)
    assert first.held
    await first.give_up()

    assert await second.take()


@pytest.mark.parametrize("by", [timedelta(days=400), timedelta(days=-400)])
async def test_a_wall_clock_that_is_set_changes_nothing(
    orchestrators: Orchestrators, monkeypatch: pytest.MonkeyPatch, by: timedelta
) -> None:
    first, second = orchestrators.one("a"), orchestrators.one("b")
    await first.take()
    await second.take()
    wall_clock_ahead(monkeypatch, by)
    orchestrators.clock.now += 7.9

    assert first.held
    assert not await second.take()
    orchestrators.clock.now += 2.1
    assert await second.take()


async def test_a_database_without_the_table_is_a_sentence(tmp_path: Path) -> None:
    lease = await Lease.open(f"sqlite+aiosqlite:///{tmp_path}/empty.db", "a")
    with pytest.raises(OrchestratorError, match=r"database can't be used: no such table"):
        await lease.take()
    await lease.aclose()

    assert lease.holder == "No orchestrator is known to hold the lease."


async def test_a_stand_by_outlasts_a_database_that_can_not_be_used(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/empty.db"
    lease = Lease(url, "a", renew_s=0.1)
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(lease.stand_by)
            await make_table(url)
    await lease.aclose()

    assert lease.held


def test_a_folder_keeps_its_identity_and_a_copy_has_another(tmp_path: Path) -> None:
    identity = identity_of(tmp_path / "state")
    again = identity_of(tmp_path / "state")
    shutil.copytree(tmp_path / "state", tmp_path / "copy")

    assert (again, len(identity)) == (identity, 32)
    assert identity_of(tmp_path / "copy") != identity
