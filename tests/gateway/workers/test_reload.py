"""Workers change under load, die and come back, and nobody who asks is refused."""

import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import anyio
import pytest

from tests.support.deployment import PROGRAM, running, stopped
from tests.support.waiting import until
from tests.support.websocket import ASK
from tests.support.workers import Gateway, Person, Shared, living

_WITHIN_S = 60
_SERVICE_RESTART = (1012).to_bytes(2, "big")  # RFC 6455's registry of close codes


@pytest.fixture
async def gateway(parts: Shared) -> AsyncIterator[Gateway]:
    async with parts.gateway(workers=2) as gateway:
        yield gateway


class Load:
    """Requests one after another, on new and on kept connections, until it is told to end."""

    def __init__(self, gateway: Gateway, cookie: str) -> None:
        self._gateway = gateway
        self._cookie = cookie
        self.over = False
        self.answered = {"new": 0, "kept": 0, "rested": 0}
        self.failed: list[str] = []

    async def on_new_connections(self) -> None:
        while not self.over:
            try:
                async with self._gateway.asking(self._cookie) as asking:
                    self._note("new", await asking.ask("/session"))
            except (OSError, EOFError, TimeoutError) as error:
                self.failed.append(f"new: {error!r}")

    async def on_kept_connections(self) -> None:
        await self._on_kept_connections("kept", 0)

    async def on_rested_connections(self) -> None:
        """Let each rest between two requests, as browsers do."""
        await self._on_kept_connections("rested", 0.2)

    async def _on_kept_connections(self, kind: str, rest_s: float) -> None:
        """Come back on a new one once the gateway has said that it closes the one before."""
        while not self.over:
            try:
                async with self._gateway.asking(self._cookie) as asking:
                    closes = False
                    while not (closes or self.over):
                        asking.send("/session")
                        self._note(kind, await asking.answer())
                        closes = asking.closes
                        await anyio.sleep(rest_s)
            except (OSError, EOFError, TimeoutError) as error:
                self.failed.append(f"{kind}: {error!r}")

    def _note(self, kind: str, answer: tuple[int, bytes]) -> None:
        self.answered[kind] += 1
        if answer[0] != 200:
            self.failed.append(f"{kind}: {answer}")


async def test_no_request_fails_while_workers_are_changed(gateway: Gateway, person: Person) -> None:
    before, load = gateway.workers(), Load(gateway, person.cookie)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(load.on_new_connections)
            group.start_soon(load.on_kept_connections)
            group.start_soon(load.on_rested_connections)
        for times in (1, 2):
            gateway.process.send_signal(signal.SIGHUP)
            await until(partial(_says, gateway, "reloaded", times), "reloaded", _WITHIN_S)
            await until(partial(_has, gateway, 2), "the old ones ended", _WITHIN_S)
        answered = dict(load.answered)
        await until(partial(_more, load, answered), "the new ones answer all kinds")
        load.over = True

    assert load.failed == []
    assert not before & gateway.workers()


async def test_a_killed_worker_loses_no_waiting_connection_and_is_replaced(
    gateway: Gateway, person: Person, stack: AsyncExitStack
) -> None:
    waiting, _ = await gateway.asking_each(stack, person.cookie)
    doomed = waiting.worker()
    await waiting.ask("/session")
    os.kill(doomed, signal.SIGSTOP)
    late = [await stack.enter_async_context(gateway.asking(person.cookie)) for _ in range(20)]
    for asking in late:
        asking.send("/session")
    unserved = [asking for asking in late if not asking.is_accepted()]

    os.kill(doomed, signal.SIGKILL)

    assert unserved
    assert {(await asking.answer(_WITHIN_S))[0] for asking in late} == {200}
    assert doomed not in gateway.workers()
    assert len(gateway.workers()) == 2
    assert {asking.worker() for asking in unserved} <= gateway.workers()


async def test_what_a_killed_and_a_changed_worker_counted_stays_counted(
    gateway: Gateway, person: Person, stack: AsyncExitStack
) -> None:
    one, other = await gateway.asking_each(stack, person.cookie)
    for asking in (one, other):
        await asking.ask("/session")
    assert await gateway.counted('opencode_gateway_requests_total{route="session"') == 2

    os.kill(one.worker(), signal.SIGKILL)
    await until(partial(_says, gateway, "worker started", 3), "it is replaced", _WITHIN_S)
    gateway.process.send_signal(signal.SIGHUP)
    await until(partial(_says, gateway, "reloaded", 1), "reloaded", _WITHIN_S)
    await until(partial(_has, gateway, 2), "the old ones ended", _WITHIN_S)

    assert await gateway.counted('opencode_gateway_requests_total{route="session"') == 2


async def test_a_reload_that_fails_leaves_the_workers_of_before(
    gateway: Gateway, parts: Shared, person: Person
) -> None:
    before = gateway.workers()
    keys = parts.settings.state / "keys" / "cookie.keys"
    good = keys.read_text()
    keys.write_text("short")
    try:
        gateway.process.send_signal(signal.SIGHUP)
        await until(partial(_says, gateway, "reload failed", 1), "it has failed", _WITHIN_S)
    finally:
        keys.write_text(good)

    assert gateway.workers() == before
    assert "cookie.keys must hold one key per line" in gateway.said()
    async with gateway.asking(person.cookie) as asking:
        assert (await asking.ask("/session"))[0] == 200


@pytest.mark.behaviour(68)
async def test_the_end_closes_streams_and_tunnels_and_is_no_failure(
    gateway: Gateway, person: Person, stack: AsyncExitStack
) -> None:
    streams, tunnels = [], []
    for asking in await gateway.asking_each(stack, person.cookie):
        await asking.stream()
        streams.append(asking)
    for asking in await gateway.asking_each(stack, person.cookie):
        asking.writer.write(ASK.replace(b"Host: a", f"Host: a\r\nCookie: {person.cookie}".encode()))
        assert (await asking.reader.head()).startswith(b"HTTP/1.1 101 ")
        tunnels.append(asking)
    workers = gateway.workers()

    with anyio.fail_after(15):
        assert await stopped(gateway.process) == 0

    # The end of the last event's piece, then the file's: neither reset nor called complete.
    assert [await asking.reader.rest() for asking in streams] == [b"\r\n"] * 2
    for asking in tunnels:
        assert _SERVICE_RESTART in await asking.reader.rest()
    assert not living(workers)
    assert "Traceback" not in gateway.said()


async def test_without_their_parent_workers_end(gateway: Gateway) -> None:
    workers = gateway.workers()

    gateway.process.kill()

    await until(partial(_gone, workers), "they have ended", _WITHIN_S)
    assert "Traceback" not in gateway.said()


async def test_wrong_settings_end_it_with_their_sentence(parts: Shared, tmp_path: Path) -> None:
    log = tmp_path / "log"
    keys = parts.settings.state / "keys" / "token.keys"
    environ = {**parts.environ, "PORT": "0", "WORKERS": "2"}
    good = keys.read_text()
    keys.write_text("no key")
    try:
        async with running((str(PROGRAM), "gateway"), environ, log) as process:
            with anyio.fail_after(_WITHIN_S):
                code = await process.wait()
    finally:
        keys.write_text(good)

    assert code == 1
    assert re.fullmatch(r".*token\.keys must hold one Fernet key .*\n", log.read_text())


async def _says(gateway: Gateway, words: str, times: int) -> bool:
    return gateway.said().count(words) >= times


async def _has(gateway: Gateway, workers: int) -> bool:
    return len(gateway.workers()) == workers


async def _more(load: Load, than: dict[str, int]) -> bool:
    return all(load.answered[kind] > than[kind] + 5 for kind in than)


async def _gone(pids: set[int]) -> bool:
    return not living(pids)
