"""Two gateways that share nothing but a database and an orchestrator.

What one makes or ends, the other finds in the store.
"""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, nullcontext

import pytest

from tests.support import postgresql
from tests.support.workers import PASSWORD, Asking, Gateway, Person, Shared, shared

# A look at the store each second, on a machine that has other things to do.
_SOON_S = 4.0


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
async def parts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shared]:
    server = postgresql.server() if request.param == "postgresql" else nullcontext("")
    with server as database_url:
        async with shared(tmp_path_factory.mktemp("apart"), database_url) as parts:
            yield parts


@pytest.fixture(scope="module")
async def gateways(parts: Shared) -> AsyncIterator[tuple[Gateway, Gateway]]:
    async with parts.gateway(workers=1) as one, parts.gateway(workers=1) as other:
        yield one, other


@pytest.fixture
async def both(
    gateways: tuple[Gateway, Gateway], person: Person, stack: AsyncExitStack
) -> tuple[Asking, Asking]:
    """A connection of this person's to each of the two gateways."""
    one, other = gateways
    return (
        await stack.enter_async_context(one.asking(person.cookie)),
        await stack.enter_async_context(other.asking(person.cookie)),
    )


async def test_who_signs_in_here_is_signed_in_there(
    both: tuple[Asking, Asking], person: Person
) -> None:
    one, other = both
    one.send("/gateway/login", method="POST", cookie="", body=person.tries(PASSWORD))
    cookie = await one.new_cookie()

    status, me = await other.ask("/gateway/me", cookie=cookie)

    assert status == 200
    assert json.loads(me)["user"]["username"] == person.user.username


async def test_a_logout_here_ends_what_is_open_there(both: tuple[Asking, Asking]) -> None:
    one, other = both
    await other.stream()

    assert (await one.ask("/gateway/logout", method="POST"))[0] == 204

    await other.stream_ends(_SOON_S)


async def test_a_session_made_here_starts_there(both: tuple[Asking, Asking]) -> None:
    one, other = both
    await other.ask("/gateway/me")
    one.send("/api/sessions", method="POST", body=b"{}")
    cookie = await one.new_cookie()

    assert (await other.ask("/session", cookie=cookie))[0] == 200


async def test_an_access_token_made_elsewhere_opens_its_session(
    both: tuple[Asking, Asking], person: Person
) -> None:
    pair = b64encode(f"opencode:{person.token}".encode()).decode()
    for asking in both:
        asking.send("/session", cookie="", more=f"Authorization: Basic {pair}\r\n")
        assert (await asking.answer())[0] == 200


async def test_a_session_deleted_here_is_gone_there(
    both: tuple[Asking, Asking], person: Person
) -> None:
    one, other = both
    await other.stream()

    assert (await one.ask(f"/api/sessions/{person.session.id}", method="DELETE"))[0] == 204

    await other.stream_ends(_SOON_S)
    async with other.gateway.asking(person.cookie) as later:
        _, me = await later.ask("/gateway/me")
    assert json.loads(me)["session"] is None


async def test_requests_that_meet_in_two_gateways_make_one_start(
    parts: Shared, both: tuple[Asking, Asking]
) -> None:
    before = parts.engine.calls["create"]
    await parts.meets(both, "/session")

    assert parts.engine.calls["create"] == before + 1
