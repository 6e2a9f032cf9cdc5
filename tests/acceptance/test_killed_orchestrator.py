"""The orchestrator killed at every step of what it does; the next run puts right what it left.

The steps are walked: it dies after the first thing that an operation changes outside it, then
after the second, until the operation ends without a death. After each one, records, containers and
volumes must agree and the session must be usable, or gone if that was asked for.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from uuid import uuid4

import anyio
import httpx
import pytest

from orchestrator.containers import Record, State
from tests.support.agreement import Picture, differences
from tests.support.engine import docker_host
from tests.support.mortal import Mortal, mortal, prompted
from tests.support.scripted_model import Model, scripted_model
from tests.support.waiting import until

# A walk takes up to a minute on a quiet machine of two cores, and starts are what it is made of.
_WALK_S = 600
_DIES_WITHIN_S = 30
_BOOTS_WITHIN_S = 90

Act = Callable[[Mortal, str], Awaitable[object]]


async def _known(one: Mortal, session_id: str) -> None:
    """Have the session ready, as if a person had just used it."""
    await one.ensure(session_id)


async def _unknown(one: Mortal, session_id: str) -> None:
    if await one.view(session_id) is not None:
        await one.remove(session_id)


async def _unknown_beside_a_spare(one: Mortal, session_id: str) -> None:
    await _unknown(one, session_id)
    await until(one.has_spare, "a spare to claim", _BOOTS_WITHIN_S)


async def _kept_awake(one: Mortal, session_id: str) -> None:
    await one.ensure(session_id)
    await one.order(session_id, "keep", for_s=60)


async def _frozen(one: Mortal, session_id: str) -> None:
    await one.ensure(session_id)
    await until(lambda: one.is_in(session_id, "frozen"), "it being frozen")


async def _start(one: Mortal, session_id: str) -> None:
    await one.ensure(session_id)
    # It is answered before it is written down, and a check waits for that.
    await one.order(session_id, "verify")


async def _freeze(one: Mortal, session_id: str) -> None:
    """The ladder freezes it, once nobody keeps it awake any more."""
    await one.order(session_id, "keep", for_s=0)

    async def is_over() -> bool:
        return one.is_dead() or await one.is_in(session_id, "frozen")

    await until(is_over, "it being frozen")


async def _stop(one: Mortal, session_id: str) -> None:
    await one.order(session_id, "stop")


async def _delete(one: Mortal, session_id: str) -> None:
    await one.remove(session_id)


async def _is_usable(one: Mortal, session_id: str) -> None:
    assert (await one.ensure(session_id))["state"] == "ready"


async def _is_bound(one: Mortal, session_id: str) -> None:
    """Its agent's token is in it: the model answers nobody else."""
    told = await prompted(await one.ensure(session_id), "hello")
    assert told == "Hello! I am a scripted model. You said: hello"


async def _is_gone_or_untouched(one: Mortal, session_id: str) -> None:
    told = await one.view(session_id)
    assert told is None or told["state"] == "ready"


@dataclass(frozen=True, slots=True)
class Operation:
    """`steps` is how many deaths there are in it at least: fewer, and the walk has missed some."""

    prepare: Act
    act: Act
    then: Act
    steps: int
    settings: Mapping[str, str] = field(default_factory=dict)


_RESTLESS = {"FREEZE_AFTER_S": "0.5"}
_OPERATIONS = {
    "start": Operation(_unknown, _start, _is_usable, 7),
    "claim": Operation(_unknown_beside_a_spare, _start, _is_bound, 5, {"POOL_SIZE": "1"}),
    "freeze": Operation(_kept_awake, _freeze, _is_usable, 3, _RESTLESS),
    "wake": Operation(_frozen, _start, _is_usable, 2, _RESTLESS),
    "stop": Operation(_known, _stop, _is_usable, 5),
    "delete": Operation(_known, _delete, _is_gone_or_untouched, 4),
}


@pytest.fixture(scope="module")
async def model(opencode_binary: Path) -> AsyncIterator[Model]:
    docker_host()
    async with scripted_model("docker") as served:
        yield served


@pytest.mark.docker
@pytest.mark.opencode
@pytest.mark.timeout(_WALK_S)
@pytest.mark.parametrize("name", _OPERATIONS)
async def test_killed_at_any_step_it_is_put_right_by_its_next_run(
    name: str, model: Model, tmp_path: Path
) -> None:
    operation, session_id, deaths = _OPERATIONS[name], uuid4().hex, list[str]()
    async with mortal(tmp_path / "state", model, **operation.settings) as one:
        await one.start()
        for after in count():
            await operation.prepare(one, session_id)
            await one.arm(after)
            if not await _dies(one, operation.act, session_id):
                break
            deaths.append(one.last_words())
            print(f"{name}: died after {deaths[-1]}")
            await one.start()
            await one.agrees()
            await operation.then(one, session_id)
        await one.agrees()

    assert len(deaths) >= operation.steps, deaths


@pytest.mark.docker
@pytest.mark.opencode
@pytest.mark.timeout(_WALK_S)
async def test_killed_at_any_step_of_making_a_spare_it_leaves_nothing(
    model: Model, tmp_path: Path
) -> None:
    deaths: list[str] = []
    async with mortal(tmp_path / "state", model) as one:
        for after in count():
            await one.start(POOL_SIZE="1", DIE_AFTER=str(after))
            if not await _dies(one, _fill_the_pool, ""):
                break
            deaths.append(one.last_words())
            print(f"spare: died after {deaths[-1]}")
            await one.start()
            await until(one.has_nothing, "nothing left", _BOOTS_WITHIN_S)
            await one.end()
        await one.end()
        await one.start()
        await until(one.has_nothing, "nothing left", _BOOTS_WITHIN_S)

    assert len(deaths) >= 6, deaths


async def _fill_the_pool(one: Mortal, _: str) -> None:
    async def is_over() -> bool:
        return one.is_dead() or (await one.answers() and await one.has_spare())

    await until(is_over, "a spare, or a death", _BOOTS_WITHIN_S)


async def _dies(one: Mortal, act: Act, session_id: str) -> bool:
    """Act, and tell whether that was its death."""
    try:
        await act(one, session_id)
    except httpx.TransportError:
        assert one.process is not None
        with anyio.fail_after(_DIES_WITHIN_S):
            await one.process.wait()
    return one.is_dead()


_ID = "5" * 32
_NAME = f"agent_{_ID}"
_READY = Record(
    _ID, 1, State.READY, datetime.now(UTC), "", "image", volume=_NAME, container_id="c1"
)
_AGREED = Picture([_READY], {}, {_NAME: "running"}, [_NAME])


def test_what_agrees_is_not_complained_of() -> None:
    assert list(differences(_AGREED)) == []


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        (
            Picture([_READY], {}, {_NAME: "paused"}, [_NAME]),
            "Session 555555 is ready, and its container is paused.",
        ),
        (
            Picture([_READY], {}, {_NAME: "running"}, []),
            "Session 555555 has had a container, and its volume is gone.",
        ),
        (
            Picture([], {}, {_NAME: "exited"}, []),
            f"The container {_NAME} is nobody's.",
        ),
        (
            Picture([], {}, {}, [_NAME]),
            f"The volume {_NAME} is nobody's.",
        ),
        (
            Picture([], {"spare_1": _NAME}, {}, [_NAME]),
            "The spare spare_1 is written down and does not run.",
        ),
    ],
)
def test_what_does_not_agree_is_told_in_words(seen: Picture, told: str) -> None:
    assert list(differences(seen)) == [told]
