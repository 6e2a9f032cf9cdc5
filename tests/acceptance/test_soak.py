"""People at work at random while parts are killed at random; afterwards nothing is left over.

A minute of it belongs to all tests; `make soak` does it for longer. SOAK_SEED repeats one.
"""

import os
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.support.agreement import disagreements, picture
from tests.support.desk import seated
from tests.support.engine import docker_host
from tests.support.leaks import held, leaked
from tests.support.scripted_model import Model, scripted_model
from tests.support.services import Services, services
from tests.support.soak import Person, Soak
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode]

_ENVIRON = os.environ  # noqa: TID251 - how long, and what to repeat
_SOAK_S = float(_ENVIRON.get("SOAK_S", "60"))
_SEED = _ENVIRON.get("SOAK_SEED") or secrets.token_hex(4)
_PEOPLE = ("alice", "bob", "carol")
_QUIET_WITHIN_S = 60
_LADDER = {"FREEZE_AFTER_S": "2", "STOP_AFTER_S": "3", "REMOVE_AFTER_S": "3"}
_COMMAND = (sys.executable, "-m", "tests.support.counted_program")


@pytest.fixture
async def both(tmp_path: Path, opencode_binary: Path) -> AsyncIterator[Services]:
    docker_host()
    tasks_in = tmp_path / "tasks"
    tasks_in.mkdir()
    settings = {**_LADDER, "POOL_SIZE": "1", "DRAIN_S": "2", "TASKS_IN": str(tasks_in)}
    async with services(tmp_path / "state", _COMMAND, **settings) as both:
        yield both


@pytest.mark.timeout(_SOAK_S + 600)
async def test_after_a_time_of_use_and_kills_nothing_is_left_over(
    both: Services, tmp_path: Path
) -> None:
    print(f"SOAK_SEED={_SEED}")
    async with scripted_model("docker") as model:
        await _used(both, model, _PEOPLE[:1], "warm-up", 0)
        await _is_quiet(both, tmp_path)
        before = await _held(both, tmp_path)

        await _used(both, model, _PEOPLE, "soak", _SOAK_S)

        await _is_quiet(both, tmp_path)
        await _is_level(both, tmp_path, before)


async def _used(
    both: Services, model: Model, people: Sequence[str], name: str, for_s: float
) -> None:
    """People come, work for so long, find all that was theirs, and leave."""
    desks = [await seated(both.deployment(), model, f"{each}-{name}") for each in people]
    soak = Soak(both, Random(_SEED), [Person(desk) for desk in desks])
    await soak.run(for_s)
    await soak.find_everything()
    await soak.leave()
    print(dict(soak.told))


async def _is_quiet(both: Services, tmp_path: Path) -> None:
    """Nobody's container or volume is there, but for the one spare."""
    told: list[str] = []

    async def holds() -> bool:
        seen = await picture(tmp_path / "state")
        told[:] = [*await disagreements(tmp_path / "state"), *map(str, seen.records)]
        return not told and len(seen.containers) == len(seen.volumes) == 1

    try:
        await until(holds, "all quiet", _QUIET_WITHIN_S)
    except AssertionError as error:
        raise AssertionError(f"{error} {told}") from error


async def _is_level(both: Services, tmp_path: Path, before: dict[str, Counter[str]]) -> None:
    """Both programs hold no more than before: what ends by itself a moment later may do so."""
    told: dict[str, list[str]] = {}

    async def holds() -> bool:
        after = await _held(both, tmp_path)
        told.update({name: leaked(before[name], after[name]) for name in after})
        return not any(told.values())

    try:
        await until(holds, "no more held than before", _QUIET_WITHIN_S)
    except AssertionError as error:
        raise AssertionError(f"{error} {told}") from error


async def _held(both: Services, tmp_path: Path) -> dict[str, Counter[str]]:
    ask = partial(held, tasks_in=tmp_path / "tasks")
    return {name: await ask(process.pid) for name, process in both.programs.items()}
