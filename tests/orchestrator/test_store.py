"""Records on disk, in each database there is a driver for."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from migrations import upgrade
from orchestrator import lifecycle
from orchestrator.containers import Timings
from orchestrator.errors import OrchestratorError
from orchestrator.store import Store
from tests.orchestrator.conftest import SESSION, Clock
from tests.support import postgresql

NOW = Clock().now
BORN = lifecycle.born(SESSION, "image", NOW)
FAILED = replace(
    lifecycle.start_failed(
        lifecycle.asked_to_start(BORN, "image", NOW), "start_timeout", "It was slow.", NOW
    ),
    container_id="c" * 64,
    timings=Timings(0.1, 2.5, 2.7),
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
    await store.save(FAILED)

    assert await store.load() == [FAILED]


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


async def test_a_database_that_can_not_be_used_is_one_sentence(tmp_path: Path) -> None:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/never-upgraded.db")
    with pytest.raises(OrchestratorError, match=r"database can't be used: no such table") as caught:
        await store.load()
    await store.aclose()

    assert (caught.value.code, caught.value.status) == ("storage_unavailable", 503)
