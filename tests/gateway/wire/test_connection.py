"""A client's connection over many requests: order, deadlines, limits, waiting, ending."""

import asyncio

import pytest

from gateway.wire.door import Answer, Client, Decision, Wait
from gateway.wire.request_head import RequestHead
from tests.support.wire import (
    Recorded,
    ScriptedDoor,
    ask,
    client,
    plays,
    relaying,
    serving,
    undated,
    until,
    within,
    write_until_blocked,
)

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(path: bytes) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path


def answering(head: RequestHead) -> Decision:
    return Answer(200, head.target)


# One request after another


@pytest.mark.behaviour(32)
@pytest.mark.parametrize("cut", range(0, 2 * len(get(b"/a")), 7))
async def test_pipelined_requests_are_answered_in_order(cut: int) -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        while head := await reader.head():
            path = head.split()[1]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with relaying(script) as served, client(served.port) as (reader, writer):
        requests = get(b"/first") + get(b"/second") + get(b"/third")
        writer.write(requests[:cut])
        await writer.drain()
        writer.write(requests[cut:])

        for path in (b"/first", b"/second", b"/third"):
            await reader.head()
            assert await reader.exactly(len(path)) == path


@pytest.mark.behaviour(32)
async def test_next_request_waits_for_the_answer_before_it() -> None:
    go_on = asyncio.Event()

    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await reader.head()
            await go_on.wait()
            writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(get(b"/first"))
        await until(lambda: len(served.door.heads) == 1)
        writer.write(get(b"/second"))
        go_on.set()
        await reader.until(b"ok")
        await reader.until(b"ok")

        assert [head.target for head in served.door.heads] == [b"/first", b"/second"]


@pytest.mark.behaviour(30)
async def test_request_behind_a_body_is_the_next_request() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"body")
        writer.write(OK)
        await reader.head()
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" + GET)
        await reader.until(b"ok")
        await reader.until(b"ok")

        assert len(served.door.heads) == 2


async def test_thousand_pipelined_answers_of_our_own_need_no_stack() -> None:
    door = ScriptedDoor(chosen=lambda head: Answer(200, b"ok"))
    async with serving(door) as port, client(port) as (reader, writer):
        writer.write(GET * 1000)
        for _ in range(1000):
            await reader.until(b"ok")


async def test_last_answer_arrives_although_more_was_sent_behind_its_request() -> None:
    """Closing with bytes unread resets the connection, and the answer with it (RFC 9112 §9.6)."""
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    async with relaying(plays(OK)) as served:
        got = await ask(served.port, last + b"x" * 1_000_000)

        assert got.endswith(b"\r\n\r\nok")


@pytest.mark.behaviour(31)
async def test_answer_of_our_own_closes_before_an_unread_body() -> None:
    door = ScriptedDoor(chosen=answering)
    async with serving(door) as port:
        got = await ask(
            port, b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\n" + get(b"/smuggled")
        )

        assert undated(got) == (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n/x"
        )


async def test_answer_of_our_own_to_head_has_no_body() -> None:
    async with serving(ScriptedDoor(chosen=answering)) as port, client(port) as (reader, writer):
        writer.write(b"HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n" + get(b"/y"))

        assert undated(await reader.until(b"/y")) == (
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/y"
        )


async def test_answer_of_our_own_says_that_an_http_1_0_connection_stays() -> None:
    async with serving(ScriptedDoor(chosen=answering)) as port, client(port) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")

            assert b"\r\nConnection: keep-alive\r\n" in await reader.until(b"/x")


async def test_client_that_reads_slowly_gets_an_answer_whole_before_the_close() -> None:
    body = b"x" * 8_000_000
    async with serving(ScriptedDoor(chosen=lambda head: Answer(200, body))) as port:
        got = await ask(port, b"GET / HTTP/1.0\r\n\r\n")

        assert got.endswith(b"\r\n\r\n" + body)


async def test_client_that_never_reads_does_not_keep_a_closed_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.wire.client_socket._FLUSH_S", 0.0)
    body = b"x" * 30_000_000
    stuck = asyncio.Event()
    door = ScriptedDoor(chosen=lambda head: Answer(200, body))

    async with relaying(plays(OK)) as served, client(served.port) as (_, writer):
        served.door.chosen = door.chosen
        served.door.ended = stuck
        writer.write(GET)
        await within(stuck.wait())
        served.shut_down()

        await until(lambda: not served.state.connections)


# What is refused


@pytest.mark.behaviour(4, 6, 9)
@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"a" * 40_000, 414),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"a" * 40_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: 1\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ],
)
async def test_bad_head_is_refused_and_reaches_nobody(request_bytes: bytes, status: int) -> None:
    async with relaying(plays(OK)) as served:
        got = await ask(served.port, request_bytes + get(b"/smuggled"))

        assert got.startswith(b"HTTP/1.1 %d " % status)
        assert b"\r\nConnection: close\r\n" in got
        assert got.count(b"\r\nContent-Length: ") == 1
        assert served.raw.connections == 0
        assert served.door.outcomes[0].status == status


async def test_bad_head_behind_a_good_request_is_refused_after_its_answer() -> None:
    async with relaying(plays(OK)) as served:
        got = await ask(served.port, GET + b"nonsense\r\n\r\n")

        assert got.startswith(OK + b"HTTP/1.1 400 ")


# Deadlines


@pytest.mark.behaviour(67)
async def test_head_has_a_deadline() -> None:
    async with relaying(plays(OK), head_s=0.01) as served:
        assert (await ask(served.port, GET[:10])).startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.behaviour(67)
async def test_drops_of_a_head_do_not_move_its_deadline() -> None:
    async with relaying(plays(OK), head_s=0.5) as served, client(served.port) as (reader, writer):
        answer = asyncio.get_running_loop().create_task(reader.head())
        while not answer.done():
            writer.write(b"G")
            await asyncio.wait([answer], timeout=0.05)

        assert (await answer).startswith(b"HTTP/1.1 408 ")


@pytest.mark.behaviour(67)
async def test_connection_that_never_asks_is_closed() -> None:
    async with relaying(plays(OK), head_s=0.01) as served:
        assert await ask(served.port, b"") == b""
        assert served.door.outcomes == []


@pytest.mark.behaviour(67)
async def test_idle_connection_is_closed() -> None:
    async with relaying(plays(OK), idle_s=0.01) as served:
        assert await ask(served.port, GET) == OK


@pytest.mark.behaviour(67)
async def test_half_a_head_on_an_idle_connection_has_the_heads_deadline() -> None:
    async with (
        relaying(plays(OK), head_s=0.01, idle_s=60) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(GET)
        await reader.until(b"ok")
        writer.write(b"GET /")

        assert (await reader.rest()).startswith(b"HTTP/1.1 408 ")


@pytest.mark.behaviour(67)
async def test_answer_may_take_longer_than_any_deadline_of_the_client() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        await swept.wait()
        writer.write(OK)

    swept = asyncio.Event()
    async with (
        relaying(script, head_s=0.0, idle_s=0.0) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(GET)
        await until(lambda: bool(served.raw.connections))
        served.wiring.deadlines.sweep(asyncio.get_running_loop().time() + 3600)
        swept.set()

        assert await reader.until(b"ok") == OK


async def test_refused_client_that_stays_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wire.client_socket._LINGER_S", 0.0)
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        writer.write(b"nonsense\r\n\r\n")
        await reader.rest()

        await until(lambda: not served.state.connections)


# Waiting for a decision


class Slow:
    """A decision that waits to be let go, and remembers how it ended."""

    def __init__(self, decision: Decision) -> None:
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.cancelled = asyncio.Event()
        self._decision = decision

    async def __call__(self) -> Decision:
        self.asked.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return self._decision


async def test_request_is_held_while_its_decision_is_awaited() -> None:
    slow = Slow(Answer(200, b"at last"))
    door = ScriptedDoor(chosen=lambda head: Wait(slow))
    async with serving(door) as port, client(port) as (reader, writer):
        writer.write(GET)
        await within(slow.asked.wait())
        slow.go_on.set()

        assert (await reader.until(b"at last")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_held_request_keeps_its_body_for_the_upstream() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"\r\n\r\n")
        assert await reader.exactly(len(body)) == body
        writer.write(OK)

    body = b"b" * 500_000
    async with relaying(script) as served, client(served.port) as (reader, writer):
        slow = Slow(Answer(500, b""))
        served.door.chosen = lambda head: Wait(slow)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n" + body)
        await within(slow.asked.wait())
        slow._decision = served.door.relay(served.door.heads[0])
        await until(lambda: served.connection._holding)
        slow.go_on.set()

        assert await reader.until(b"ok") == OK


@pytest.mark.behaviour(37)
async def test_body_that_comes_before_its_time_is_bounded() -> None:
    slow = Slow(Answer(200, b""))
    async with relaying(plays(OK)) as served, client(served.port) as (_, writer):
        served.door.chosen = lambda head: Wait(slow)
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n")
        await write_until_blocked(writer)

        assert len(served.connection._early) < 1_000_000


async def test_decision_is_cancelled_when_the_client_leaves() -> None:
    slow = Slow(Answer(200, b""))
    async with relaying(plays(OK)) as served:
        served.door.chosen = lambda head: Wait(slow)
        async with client(served.port) as (_, writer):
            writer.write(GET)
            await within(slow.asked.wait())
        async with asyncio.timeout(1):
            await slow.cancelled.wait()

        assert (await served.ended()).trouble == "client gone"


async def test_decision_is_cancelled_and_answered_when_its_key_is_revoked() -> None:
    slow = Slow(Answer(200, b""))
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        served.door.chosen = lambda head: Wait(slow, ("login",))
        writer.write(GET)
        await within(slow.asked.wait())
        assert served.wiring.live.close("login") == 1

        assert (await reader.head()).startswith(b"HTTP/1.1 409 Conflict\r\n")
        assert await reader.rest() == b"revoked"
        await within(slow.cancelled.wait())
        assert (await served.ended()).trouble == "revoked"


async def test_decision_that_fails_is_answered_500(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> Decision:
        raise ValueError("a defect")

    async with serving(ScriptedDoor(chosen=lambda head: Wait(broken))) as port:
        async with client(port) as (reader, writer):
            writer.write(GET)

            assert (await reader.head()).startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
        assert "a defect" in caplog.text


# Revoking and stopping


async def test_revoked_stream_ends_at_once_and_without_a_terminator() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await reader.rest()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"a\r\n")
        assert served.wiring.live.close("another") == 0
        assert served.wiring.live.close("key") == 1

        assert await reader.rest() == b""
        assert (await served.ended()).trouble == "revoked"
        await until(lambda: not served.pool._open)


async def test_idle_connection_outlives_the_end_of_its_last_key() -> None:
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"ok")
        await served.ended()
        served.wiring.live.close("key")
        writer.write(GET)

        assert (await reader.until(b"ok")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_lost_connection_is_held_under_no_key() -> None:
    async with relaying(plays(OK)) as served:
        async with client(served.port) as (reader, writer):
            writer.write(GET)
            await reader.until(b"ok")
        await until(lambda: not served.state.connections)

        assert served.wiring.live.close("key") == 0


@pytest.mark.behaviour(68)
async def test_shutdown_closes_an_idle_connection() -> None:
    async with (
        relaying(plays(OK), last_request_s=0.01) as served,
        client(served.port) as (reader, writer),
    ):
        writer.write(GET)
        await reader.until(b"ok")
        await served.ended()
        served.shut_down()

        assert await reader.rest() == b""


@pytest.mark.behaviour(68)
async def test_shutdown_ends_an_event_stream() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream;charset=utf-8\r\n\r\n")
        await reader.rest()

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.head()
        served.shut_down()

        assert await reader.rest() == b""


@pytest.mark.behaviour(68)
async def test_shutdown_lets_a_short_answer_finish_and_takes_no_further_request() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        await go_on.wait()
        writer.write(OK)

    go_on = asyncio.Event()
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET + get(b"/too-late"))
        await until(lambda: bool(served.raw.connections))
        served.shut_down()
        go_on.set()

        assert await reader.rest() == OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        assert len(served.door.heads) == 1


@pytest.mark.behaviour(68)
async def test_shutdown_amid_an_answer_closes_behind_it() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.head()
        writer.write(OK[:-1])
        await go_on.wait()
        writer.write(OK[-1:])

    go_on = asyncio.Event()
    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(GET)
        await reader.until(b"\r\n\r\no")
        served.shut_down()
        go_on.set()

        assert await reader.rest() == b"k"


async def test_request_sent_ahead_of_the_shutdown_is_answered() -> None:
    async with relaying(plays(OK)) as served, client(served.port) as (reader, writer):

        def answer_and_stop(head: RequestHead) -> Decision:
            asyncio.get_running_loop().call_soon(served.shut_down)
            return Answer(200, b"ok")

        served.door.chosen = answer_and_stop
        writer.write(get(b"/first") + get(b"/second"))

        assert (await reader.rest()).endswith(b"\r\nConnection: close\r\n\r\nok")
        assert len(served.door.heads) == 2


# What became of it


async def test_outcome_counts_bytes_and_times() -> None:
    async def script(reader: Recorded, writer: asyncio.StreamWriter) -> None:
        await reader.until(b"body")
        writer.write(OK)

    async with relaying(script) as served, client(served.port) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
        await reader.until(b"ok")
        outcome = await served.ended()

        assert (outcome.status, outcome.bytes_in, outcome.bytes_out) == (200, 4, 2)
        assert outcome.upstream == "scripted"
        assert outcome.first_byte is not None
        assert outcome.started <= outcome.first_byte <= outcome.ended
        assert isinstance(outcome.client, Client)


async def test_nothing_is_left_of_many_requests() -> None:
    async with relaying(plays(OK)) as served:
        for _ in range(50):
            await ask(served.port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await until(lambda: not served.state.connections)

        assert served.wiring.deadlines._watched == set()
        assert served.wiring.live._held == {}
        assert served.wiring.tasks._running == set()
        assert len(served.pool._open) == len(served.pool._idle) == 1
