"""What the engines' tests ask of any engine, and how they wait for what no engine tells."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from orchestrator.containers import Environment, Limits, Observation, Spec, name_of
from orchestrator.engines.base import Engine
from tests.orchestrator.engines import IMAGE

T = TypeVar("T")
LIMITS = Limits(memory_bytes=256 << 20, cpus=0.5, pids=64)
STAYS = Environment({"GREETING": 'it\'s "$HOME" `here`', "OPENCODE_SERVER_PASSWORD": "p"}, ("p",))
ENDS = Environment({**STAYS.values, "END_WITH": "3"}, ("p",))


async def created(engine: Engine, key: str) -> Observation:
    fingerprint = await engine.fingerprint(IMAGE, LIMITS)
    spec = Spec(key, volume_of(key), 1, IMAGE, LIMITS, "a-nonce", fingerprint)
    return await engine.create(spec)


def volume_of(key: str) -> str:
    """Not its container's name: a claimed spare's volume has another one, too."""
    return name_of(f"volume-{key}")


async def started(engine: Engine, key: str, environment: Environment = STAYS) -> Observation:
    await created(engine, key)
    return await engine.start(key, environment)


async def eventually(look: Callable[[], Awaitable[T]], fits: Callable[[T], bool]) -> T:
    """Look until it fits. What a container prints, and when, no engine tells by event."""
    with anyio.fail_after(10):
        while not fits(found := await look()):  # noqa: ASYNC110
            await anyio.sleep(0.02)
    return found


async def printed(engine: Engine, key: str, line: str) -> list[str]:
    """Wait until a container has printed a line; return all it printed."""
    return await eventually(lambda: engine.last_lines(key), lambda lines: line in lines)


async def ended(engine: Engine, key: str) -> Observation:
    def has_ended(seen: Observation | None) -> bool:
        return seen is not None and not seen.running

    seen = await eventually(lambda: engine.find(key), has_ended)
    assert seen is not None
    return seen
