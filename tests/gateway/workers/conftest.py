"""A gateway of two workers for all tests of a module, and somebody new for each of them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from itertools import count

import pytest

from tests.support.workers import Asking, Gateway, Person, Shared, shared

_NUMBERS = count(1)


@pytest.fixture(scope="module")
async def parts(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shared]:
    async with shared(tmp_path_factory.mktemp("workers")) as parts:
        yield parts


@pytest.fixture(scope="module")
async def gateway(parts: Shared) -> AsyncIterator[Gateway]:
    async with parts.gateway(workers=2) as gateway:
        yield gateway


@pytest.fixture
async def person(parts: Shared) -> Person:
    return await parts.person(f"person{next(_NUMBERS)}")


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
async def both(gateway: Gateway, person: Person, stack: AsyncExitStack) -> tuple[Asking, Asking]:
    """A connection of this person's to each of the two workers."""
    one, other = await gateway.asking_each(stack, person.cookie)
    return one, other
