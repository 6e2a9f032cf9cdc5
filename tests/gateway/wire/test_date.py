"""When answers of our own say that they were made."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest

from gateway.wire import date
from gateway.wire.door import Answer
from tests.support.wire import ScriptedDoor, ask, plays_once, relaying, serving

GET = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def dates(answer: bytes) -> list[datetime]:
    lines = answer.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return [
        parsedate_to_datetime(line[6:].decode()) for line in lines if line[:5].lower() == b"date:"
    ]


def test_line_is_the_standards_form_of_this_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(date, "time", lambda: 784111777.9)

    assert date.date_line() == b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"


def test_line_is_made_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(date, "time", lambda: 1.0)
    first, again = date.date_line(), date.date_line()
    monkeypatch.setattr(date, "time", lambda: 2.0)

    assert first is again
    assert date.date_line() != first


@pytest.mark.behaviour(58)
async def test_answer_of_our_own_is_dated_once() -> None:
    async with serving(ScriptedDoor(chosen=lambda head: Answer(200, b"ok"))) as port:
        (dated,) = dates(await ask(port, GET))

    assert abs((datetime.now(tz=UTC) - dated).total_seconds()) < 10


async def test_refusal_of_a_head_is_dated() -> None:
    async with serving(ScriptedDoor()) as port:
        assert len(dates(await ask(port, b"no head\r\n\r\n"))) == 1


@pytest.mark.behaviour(58)
@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"", []),
        (
            b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
            [datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)],
        ),
    ],
)
async def test_relayed_answer_keeps_its_own_date_or_none(line: bytes, said: list[datetime]) -> None:
    answer = b"HTTP/1.1 200 OK\r\n" + line + b"Content-Length: 2\r\n\r\nok"
    async with relaying(plays_once(answer)) as served:
        assert dates(await ask(served.port, GET)) == said
