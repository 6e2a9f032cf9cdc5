"""What the store tells against what is known, and rows that go with their sessions."""

import pytest

from gateway.errors import GatewayError
from gateway.following import changed
from gateway.news import (
    AgentMade,
    AgentRemoved,
    LoginEnded,
    News,
    SessionRemoved,
    UserRemoved,
)
from gateway.removals import Removals
from gateway.roster import Contents

KNOWN = Contents({"u"}, {"l"}, {"s"}, {("u", "a")})


def test_nothing_is_new_where_the_store_holds_what_is_known() -> None:
    assert list(changed(KNOWN, KNOWN)) == []


@pytest.mark.parametrize(
    ("stored", "news"),
    [
        (Contents({"u"}, set(), {"s"}, {("u", "a")}), LoginEnded("l")),
        (Contents({"u"}, {"l"}, set(), {("u", "a")}), SessionRemoved("s")),
        (Contents(set(), {"l"}, {"s"}, {("u", "a")}), UserRemoved("u")),
        (Contents({"u"}, {"l"}, {"s"}, set()), AgentRemoved("u", "a")),
        (Contents({"u"}, {"l"}, {"s"}, {("u", "a"), ("u", "b")}), AgentMade("u", "b")),
    ],
)
def test_a_difference_is_news(stored: Contents, news: News) -> None:
    assert list(changed(KNOWN, stored)) == [news]


def test_what_is_new_in_the_store_waits_until_it_is_asked_for() -> None:
    stored = Contents({"u", "v"}, {"l", "m"}, {"s", "t"}, {("u", "a")})

    assert list(changed(KNOWN, stored)) == []


class Rows:
    def __init__(self) -> None:
        self.removed: list[str] = []
        self.answers = True

    async def remove(self, session_id: str) -> None:
        if not self.answers:
            raise GatewayError("storage_unavailable", "Not now.")
        self.removed.append(session_id)


async def test_a_session_whose_container_is_gone_goes_with_its_row() -> None:
    taken: list[News] = []
    rows = Rows()
    removals = Removals(taken.append, rows.remove)

    removals.gone("s")
    await removals.finish()
    await removals.finish()

    assert taken == [SessionRemoved("s")]
    assert rows.removed == ["s"]


async def test_a_row_that_could_not_be_removed_is_removed_later() -> None:
    rows = Rows()
    removals = Removals(lambda _news: None, rows.remove)
    removals.gone("s")
    rows.answers = False
    with pytest.raises(GatewayError):
        await removals.finish()

    rows.answers = True
    await removals.finish()

    assert rows.removed == ["s"]
