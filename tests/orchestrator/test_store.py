"""Records on disk, in each database there is a driver for."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from migrations import upgrade
from orchestrator import lifecycle
from orchestrator.containers import Observation, Phase, Record, State, Timings
from orchestrator.errors import OrchestratorError
from orchestrator.store import Store
from tests.orchestrator.conftest import SESSION, USER, Clock
from tests.support import postgresql

NOW = Clock().now
BORN = lifecycle.born(SESSION, "image", NOW)
# Each field differs from what a new record has, but for what only one run can know.
FULL = Record(
    session_id=SESSION,
    generation=7,
    state=State.FAILED,
    since=NOW,
    why="It was slow.",
    image="image",
    user_id=USER,
    volume="agent_spare_1",
    container_id="c" * 64,
    problem="start_timeout",
    failures=2,
    crashes=3,
    retry_at=NOW + timedelta(seconds=2),
    timings=Timings(0.4, 0.1, 2.5, 2.7),
    claimed="spare_1",
    orderly=False,
    awake_until=NOW + timedelta(hours=1),
    booted_at=NOW - timedelta(hours=1),
)


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "sqlite":
        url = f"sqlite+aiosqlite:///{tmp_path}/orchestrator.db"
    else:
        url = request.getfixturevalue("postgresql_url")
    await upgrade(url, "orchestrator")
    store = await Store.open(url)
    yield store
    await store.aclose()


@pytest.fixture
def postgresql_url() -> Iterator[str]:
    with postgresql.server() as url:
        yield url


async def test_a_record_comes_back_whole_and_the_last_word_counts(store: Store) -> None:
    await store.save(BORN)
    await store.save(FULL)

    assert await store.load() == [FULL]


def test_no_field_is_left_out_of_this_test_by_mistake() -> None:
    of_one_run = {"session_id", "since", "image", "phase", "live"}
    same = {
        each.name for each in fields(Record) if getattr(FULL, each.name) == getattr(BORN, each.name)
    }
    assert same == of_one_run


async def test_what_only_one_run_can_know_is_not_kept(store: Store) -> None:
    live = Observation("s", "c1", "nonce", "made", True, "boot-1", "agent_s")
    await store.save(replace(FULL, phase=Phase.BOOTING, live=live))

    assert await store.load() == [FULL]


async def test_many_write_at_once_and_nothing_is_lost(store: Store) -> None:
    records = [replace(BORN, session_id=f"{number:032x}") for number in range(20)]
    async with anyio.create_task_group() as group:
        for record in records:
            group.start_soon(store.save, record)

    assert sorted(await store.load(), key=lambda record: record.session_id) == records


async def test_what_is_deleted_is_gone_and_deleting_it_again_is_done(store: Store) -> None:
    await store.save(BORN)
    await store.delete(SESSION)
    await store.delete(SESSION)

    assert await store.load() == []


async def test_a_spare_is_known_with_its_volume_until_it_is_forgotten(store: Store) -> None:
    await store.add_spare("spare_1", "agent_spare_1")
    await store.add_spare("spare_2", "agent_spare_2")
    await store.forget_spare("spare_2")
    await store.forget_spare("spare_2")

    assert await store.spares() == {"spare_1": "agent_spare_1"}


async def test_a_claim_makes_a_spare_somebodys_in_the_same_moment(store: Store) -> None:
    await store.add_spare("spare_1", "agent_spare_1")
    await store.add_spare("spare_2", "agent_spare_2")
    await store.save(replace(BORN, claimed="spare_1"))

    assert await store.spares() == {"spare_2": "agent_spare_2"}


async def test_a_claim_that_can_not_be_written_down_leaves_the_spare_to_all(store: Store) -> None:
    await store.add_spare("spare_1", "agent_spare_1")
    no_text: Any = object()
    with pytest.raises(OrchestratorError):
        await store.save(replace(BORN, claimed="spare_1", why=no_text))

    assert (await store.spares(), await store.load()) == ({"spare_1": "agent_spare_1"}, [])


async def test_a_database_that_can_not_be_used_is_one_sentence(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/never-upgraded.db")
    with pytest.raises(OrchestratorError, match=r"database can't be used: no such table") as caught:
        await store.load()
    await store.aclose()

    assert (caught.value.code, caught.value.status) == ("storage_unavailable", 503)
