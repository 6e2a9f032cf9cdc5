"""A container that is frozen, woken and drained behind its clients, on real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway import activity, open_streams, sleepers
from gateway.routing import Place, State
from tests.support.front import Gateway, gateway, ok
from tests.support.websocket import SWITCH
from tests.support.wire import Recorded, client, until, upstream

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
CONNECTED = b'59\r\ndata: {"id":"evt_2059d482a001nggIFW1BJByHsp","type":"server.connected",'
CONNECTED += b'"properties":{}}\n\n\r\n'
HEARTBEAT = b'"server.heartbeat"'
HANDSHAKE = (
    "GET /pty/pty_1/connect HTTP/1.1\r\nHost: gw.example\r\nCookie: {}\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
TOLD = {
    "directory": "/workspace",
    "payload": {"type": "session.error", "properties": {"sessionID": "ses_1"}},
}
# Who looks and who beats does it here only where a test says how often.
NEVER_S = 3600.0


class Container:
    """Event streams that say one event and stay open, a terminal that echoes, answers that wait."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self.streams: list[asyncio.StreamWriter] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, reader: Recorded, writer: asyncio.StreamWriter) -> None:
        while True:
            # Without a deadline: a frozen container's connections wait as long as it takes.
            head = await reader._reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ", 2)[1].decode()
            self.asked.append(path)
            self.heads.append(head)
            if path.partition("?")[0].endswith("/event"):
                self.streams.append(writer)
                writer.write(STREAM + CONNECTED)
            elif path.endswith("/connect"):
                writer.write(SWITCH)
                while piece := await reader._reader.read(65536):
                    writer.write(piece)
            else:
                await self.may_answer.wait()
                writer.write(ok(b'"awake"'))


class Asleep:
    """A gateway with one session, whose container is a script; the test freezes and wakes it."""

    def __init__(self, gw: Gateway, container: Container, stack: AsyncExitStack) -> None:
        self.gw = gw
        self.container = container
        self.orchestrator = gw.orchestrator
        self.freezes = 0
        self._stack = stack
        gw.parts.directory.watch(self._count_freezes)

    @property
    def place(self) -> Place:
        return self.gw.parts.directory.place(self.gw.session_id)

    @property
    def nothing_is_open(self) -> bool:
        return self.place.living is None or not self.place.living.pool.receivers()

    async def start(self) -> None:
        assert (await self.gw.ask("/session"))[0] == 200

    async def freeze(self) -> None:
        """Freeze it as it is frozen when it has not been used for long."""
        assert self.place.upstream is not None
        open_streams.is_used(self.place.upstream)
        await self.freeze_now()

    async def freeze_now(self) -> None:
        told = self.freezes
        self.orchestrator.freeze()
        await until(lambda: self.freezes > told)

    async def tell(self, state: State, **more: Any) -> None:
        living = None if state is State.STOPPED else self.orchestrator.ready_at
        self.orchestrator.tell(self.orchestrator.view(state, living, **more))
        await self.reaches(state)

    async def reaches(self, state: State) -> None:
        await until(lambda: self.place.state is state)

    def _count_freezes(self, _session_id: str, place: Place) -> None:
        self.freezes += place.state is State.FROZEN

    async def stream(self, path: str = "/global/event") -> Recorded:
        """Open an event stream and read what its server says at once."""
        reader = await self.gw.open(path, self._stack)
        await reader.head()
        await reader.exactly(len(CONNECTED))
        return reader

    async def terminal(self) -> tuple[Recorded, asyncio.StreamWriter]:
        reader, writer = await self._stack.enter_async_context(client(self.gw.port))
        writer.write(HANDSHAKE.format(self.gw.cookie).encode())
        assert b" 101 " in await reader.head()
        return reader, writer


@pytest.fixture
def look_every_s() -> float:
    return NEVER_S


@pytest.fixture
def beat_every_s() -> float:
    return NEVER_S


@pytest.fixture(autouse=True)
def clocks(monkeypatch: pytest.MonkeyPatch, look_every_s: float, beat_every_s: float) -> None:
    monkeypatch.setattr(activity, "LOOK_EVERY_S", look_every_s)
    monkeypatch.setattr(sleepers, "BEAT_EVERY_S", beat_every_s)


@pytest.fixture
async def asleep(tmp_path: Path) -> AsyncIterator[Asleep]:
    container = Container()
    async with AsyncExitStack() as stack:
        raw, _ = await stack.enter_async_context(upstream(container))
        gw = await stack.enter_async_context(gateway(tmp_path))
        gw.orchestrator.ready_at = raw.port
        async with AsyncExitStack() as clients:
            asleep = Asleep(gw, container, clients)
            yield asleep
        await until(lambda: asleep.nothing_is_open)


async def test_open_stream_survives_freeze_and_wake(asleep: Asleep) -> None:
    await asleep.start()
    reader = await asleep.stream()
    await asleep.freeze()
    status, _, body = await asleep.gw.ask("/session")
    asleep.container.streams[0].write(b"d\r\ndata: later\n\n\r\n")

    assert (status, body) == (200, b'"awake"')
    assert b"data: later\n\n" in await reader.until(b"data: later\n\n")
    assert asleep.orchestrator.ensures == 2


@pytest.mark.parametrize(
    ("path", "beat"),
    [
        ("/global/event", b'data: {"payload":{"id":"evt_'),
        ("/event", b'data: {"id":"evt_'),
        ("/api/event", b": heartbeat\n\n"),
    ],
)
async def test_open_stream_gets_a_heartbeat_as_soon_as_its_server_is_frozen(
    asleep: Asleep, path: str, beat: bytes
) -> None:
    await asleep.start()
    reader = await asleep.stream(path)
    await asleep.freeze()

    await reader.until(b"\r\n")
    assert (await reader.until(b"\n\n")).startswith(beat)
    assert asleep.place.state is State.FROZEN


@pytest.mark.parametrize("beat_every_s", [0.01])
async def test_heartbeats_go_on_while_it_is_frozen(asleep: Asleep) -> None:
    await asleep.start()
    reader = await asleep.stream()
    await asleep.freeze()

    for _ in range(5):
        await reader.until(HEARTBEAT)
    assert asleep.orchestrator.ensures == 1


async def test_keystroke_wakes_and_arrives(asleep: Asleep) -> None:
    await asleep.start()
    reader, writer = await asleep.terminal()
    await asleep.freeze()
    assert asleep.orchestrator.ensures == 1
    writer.write(b"ls\r")

    assert await reader.exactly(3) == b"ls\r"
    await asleep.reaches(State.READY)
    assert asleep.orchestrator.ensures == 2


async def test_idle_terminal_and_stream_let_it_sleep(asleep: Asleep) -> None:
    await asleep.start()
    reader = await asleep.stream()
    await asleep.terminal()
    await asleep.freeze()
    await reader.until(HEARTBEAT)

    assert asleep.place.state is State.FROZEN
    assert asleep.orchestrator.ensures == 1


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/global/health", b'{"healthy":true,"version":"1.18.33"}'),
        ("/api/health", b'{"healthy":true}'),
    ],
)
async def test_health_poll_is_answered_and_wakes_nobody(
    asleep: Asleep, path: str, answer: bytes
) -> None:
    await asleep.start()
    await asleep.freeze()
    status, headers, body = await asleep.gw.ask(path)

    assert (status, body) == (200, answer)
    assert headers["x-opencode-gateway-route"] == "session"
    assert asleep.place.state is State.FROZEN
    assert asleep.orchestrator.ensures == 1
    assert path not in asleep.container.asked


async def test_health_poll_of_an_awake_container_is_no_use_of_it(asleep: Asleep) -> None:
    await asleep.start()
    upstream = asleep.place.upstream
    assert upstream is not None
    assert open_streams.is_used(upstream)
    await asleep.gw.ask("/global/health")

    assert "/global/health" in asleep.container.asked
    assert not open_streams.is_used(upstream)


async def test_page_load_is_held_for_the_wake_and_sees_no_starting_page(asleep: Asleep) -> None:
    await asleep.start()
    await asleep.freeze()
    status, _, body = await asleep.gw.ask("/", Accept="text/html")

    assert (status, body) == (200, b'"awake"')


async def test_waking_goes_on_with_the_connections_it_had(asleep: Asleep) -> None:
    await asleep.start()
    before = asleep.place.upstream
    await asleep.freeze()
    await asleep.gw.ask("/session")

    assert asleep.place.upstream is before


async def test_request_that_waits_for_a_wake_is_told_that_its_session_was_deleted(
    asleep: Asleep,
) -> None:
    await asleep.start()
    await asleep.freeze()
    asleep.orchestrator.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        waits = group.create_task(asleep.gw.ask("/session"))
        await until(lambda: asleep.orchestrator.ensures == 2)
        await asleep.gw.ask(f"/api/sessions/{asleep.gw.session_id}", method="DELETE")
        status, _, body = await waits
    asleep.orchestrator.may_answer.set()

    assert (status, json.loads(body)["data"]["code"]) == (409, "session_removing")


async def test_request_that_is_in_flight_when_it_is_frozen_wakes_it(asleep: Asleep) -> None:
    await asleep.start()
    asleep.container.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        prompt = group.create_task(asleep.gw.ask("/session/ses_1/message", method="POST"))
        await until(lambda: "/session/ses_1/message" in asleep.container.asked)
        await asleep.freeze()
        await asleep.reaches(State.READY)
        asleep.container.may_answer.set()

    assert prompt.result()[0] == 200
    assert asleep.orchestrator.ensures == 2


async def test_request_that_was_answered_just_before_wakes_it(asleep: Asleep) -> None:
    await asleep.start()
    await asleep.freeze_now()

    await asleep.reaches(State.READY)
    assert asleep.orchestrator.ensures == 2


async def test_terminal_that_moved_just_before_wakes_it(asleep: Asleep) -> None:
    await asleep.start()
    reader, writer = await asleep.terminal()
    upstream = asleep.place.upstream
    assert upstream is not None
    open_streams.is_used(upstream)
    writer.write(b"x")
    await reader.exactly(1)
    await asleep.freeze_now()

    await asleep.reaches(State.READY)


@pytest.mark.parametrize("look_every_s", [0.01])
async def test_wake_that_failed_cuts_nothing_and_is_tried_again(asleep: Asleep) -> None:
    await asleep.start()
    reader, writer = await asleep.terminal()
    await asleep.freeze()
    asleep.orchestrator.refusal = "orchestrator_unavailable"
    writer.write(b"x")
    await until(lambda: asleep.orchestrator.ensures > 1)
    assert asleep.place.state is State.FROZEN
    asleep.orchestrator.refusal = ""

    await asleep.reaches(State.READY)
    assert await reader.exactly(1) == b"x"


@pytest.mark.parametrize("code", ["orchestrator_unavailable", "standby", "no_room"])
async def test_frozen_session_that_cannot_be_woken_is_served_as_the_rules_say(
    asleep: Asleep, code: str
) -> None:
    await asleep.start()
    reader = await asleep.stream()
    await asleep.freeze()
    asleep.orchestrator.refusal = code
    elsewhere = await asleep.gw.ask("/config")
    nowhere = await asleep.gw.ask("/session/ses_1")
    asleep.container.streams[0].write(b"d\r\ndata: later\n\n\r\n")

    assert (elsewhere[0], elsewhere[2]) == (200, b'"shared"')
    assert elsewhere[1]["x-opencode-gateway-route"] == f"shared; reason={code}"
    assert nowhere[0] == 503
    assert asleep.place.state is State.FROZEN
    await reader.until(b"data: later\n\n")


async def test_frozen_terminal_is_opened_with_nothing_but_a_ticket(asleep: Asleep) -> None:
    await asleep.start()
    await asleep.gw.ask("/pty/pty_1/connect-token", method="POST")
    await asleep.freeze()
    status, _, body = await asleep.gw.ask("/pty/pty_1/connect?ticket=t", who="")

    assert (status, body) == (200, b'"awake"')
    assert asleep.container.asked[-1] == "/pty/pty_1/connect?ticket=t"
    assert b"\r\nAuthorization:" not in asleep.container.heads[-1]


async def test_ticket_opens_no_terminal_of_a_server_that_is_gone(asleep: Asleep) -> None:
    await asleep.start()
    await asleep.gw.ask("/pty/pty_1/connect-token", method="POST")
    await asleep.tell(State.STOPPED)

    assert (await asleep.gw.ask("/pty/pty_1/connect?ticket=t", who=""))[0] == 401
    assert asleep.orchestrator.ensures == 1


async def test_stop_lets_an_answer_finish_and_then_cuts(asleep: Asleep) -> None:
    await asleep.start()
    reader = await asleep.stream()
    asleep.container.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        prompt = group.create_task(asleep.gw.ask("/session/ses_1/message", method="POST"))
        await until(lambda: "/session/ses_1/message" in asleep.container.asked)
        await asleep.tell(State.STOPPING)
        asleep.container.may_answer.set()
    await asleep.tell(State.STOPPED)

    assert (prompt.result()[0], prompt.result()[2]) == (200, b'"awake"')
    assert await reader.rest() == b""


async def test_new_request_waits_for_a_stop_to_end(asleep: Asleep) -> None:
    await asleep.start()
    await asleep.tell(State.STOPPING)
    asleep.orchestrator.may_answer.clear()
    async with asyncio.TaskGroup() as group:
        held = group.create_task(asleep.gw.ask("/config"))
        await until(lambda: asleep.orchestrator.ensures == 2)
        assert "/config" not in asleep.container.asked
        asleep.orchestrator.may_answer.set()

    assert held.result()[2] == b'"awake"'


async def test_unfinished_turns_are_told_once_behind_a_streams_first_event(asleep: Asleep) -> None:
    await asleep.start()
    await asleep.tell(State.READY, interrupted=[TOLD], workspace="/workspace")
    await until(lambda: asleep.place.interrupted != ())
    reader = await asleep.stream("/event")
    asleep.container.streams[0].write(b"d\r\ndata: later\n\n\r\n")
    came = await reader.until(b"data: later\n\n")

    event = json.loads(came.split(b"data: ")[1].split(b"\n\n")[0])
    assert (event["type"], event["properties"]) == ("session.error", {"sessionID": "ses_1"})
    assert came.count(b"session.error") == 1


async def test_unfinished_turns_known_later_are_told_once_to_open_streams(asleep: Asleep) -> None:
    await asleep.start()
    reader = await asleep.stream()
    for why in ("It is back.", "It is back still."):
        await asleep.tell(State.READY, interrupted=[TOLD], workspace="/workspace", why=why)
    await until(lambda: asleep.place.why == "It is back still.")
    asleep.container.streams[0].write(b"d\r\ndata: later\n\n\r\n")
    came = await reader.until(b"data: later\n\n")

    assert came.count(b'{"directory":"/workspace","payload":{"id":"evt_') == 1


async def test_what_is_used_is_reported_and_what_is_only_open_is_not(asleep: Asleep) -> None:
    await asleep.start()
    await asleep.stream()
    reporter = activity.Activity(asleep.gw.parts.directory)
    for _ in range(2):
        reporter.look()
        await reporter.report()
    await asleep.gw.ask("/session")
    reporter.look()
    await reporter.report()

    assert asleep.orchestrator.reports == [[asleep.gw.session_id]] * 2


@pytest.mark.parametrize("look_every_s", [0.01])
async def test_reports_go_out_by_themselves_and_none_is_lost(asleep: Asleep) -> None:
    asleep.orchestrator.takes_reports = False
    await asleep.start()
    await until(lambda: asleep.orchestrator.refused_reports > 0)
    asleep.orchestrator.takes_reports = True

    await until(lambda: asleep.orchestrator.reports == [[asleep.gw.session_id]])
