"""What the real OpenCode tells of its work, of its terminals, and of what it was killed in."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import anyio
import pytest

from demo.scripted_model import ScriptedModel
from orchestrator.containers import Address
from orchestrator.events import Lines
from orchestrator.interrupted import WHY, conversation_of, find_interrupted
from orchestrator.server import Server, stream_client
from orchestrator.terminals import look_at_terminals
from orchestrator.watch import Watch
from tests.support.opencode_server import PASSWORD, opencode_server
from tests.support.serving import serve
from tests.support.waiting import until

pytestmark = pytest.mark.opencode

_ASKS = {"permission": {"bash": {"*": "allow", "pwd*": "ask"}}}
_WAIT_S = 60.0


@dataclass
class Real:
    """One running OpenCode, with a second folder that its decoding might get wrong."""

    server: Server
    own: Path
    other: Path

    async def post(self, path: str, body: Any = None, directory: Path | None = None) -> Any:
        headers = {} if directory is None else {"x-opencode-directory": quote(str(directory))}
        url = f"http://{self.server.address.host}:{self.server.address.port}{path}"
        answer = await self.server.client.post(
            url, json=body or {}, headers=headers, auth=("opencode", PASSWORD), timeout=30
        )
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def prompt(self, text: str, directory: Path | None = None) -> str:
        """Begin a turn in a new conversation and return that."""
        conversation: str = (await self.post("/session", directory=directory))["id"]
        await self.prompt_again(conversation, text, directory)
        return conversation

    async def prompt_again(
        self, conversation: str, text: str, directory: Path | None = None
    ) -> None:
        body = {"parts": [{"type": "text", "text": text}]}
        await self.post(f"/session/{conversation}/prompt_async", body, directory)

    @asynccontextmanager
    async def watch(self, booted: datetime | None = None) -> AsyncIterator[Watch]:
        """A watch that comes now, as one does after its stream broke."""
        an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
        watch = Watch(self.server, booted or an_hour_ago, anyio.current_time, lambda: None)
        async with self.following(watch):
            yield watch

    @asynccontextmanager
    async def following(self, watch: Watch) -> AsyncIterator[None]:
        async def sees() -> bool:
            return watch.sees

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(watch.follow)
            await until(sees, "the watch sees")
            yield
            tasks.cancel_scope.cancel()


def busy(watch: Watch) -> list[str]:
    return watch.activity.busy(anyio.current_time(), _WAIT_S)


async def becomes(watch: Watch, *phrases: str) -> None:
    async def so() -> bool:
        return busy(watch) == list(phrases)

    await until(so, f"it is busy with {phrases}")


@asynccontextmanager
async def running(folder: Path, model: str) -> AsyncIterator[Real]:
    own, other = folder / "own", folder / "another 100% folder"
    own.mkdir(exist_ok=True)
    other.mkdir(exist_ok=True)
    (own / "opencode.json").write_text(json.dumps(_ASKS))
    async with opencode_server(own, model) as url, stream_client() as client:
        place = urlsplit(url)
        assert place.hostname is not None
        assert place.port is not None
        server = Server(client, Address(place.hostname, place.port), PASSWORD)
        await server.check_instance(30)
        yield Real(server, own, other)


@pytest.fixture(scope="module")
async def model() -> AsyncIterator[str]:
    async with serve(ScriptedModel("none").app) as model:
        yield model


@pytest.fixture(scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory, model: str) -> AsyncIterator[Real]:
    async with running(tmp_path_factory.mktemp("watched"), model) as real:
        yield real


async def test_it_tells_its_version(real: Real) -> None:
    version = await real.server.check_health(5)

    assert version is not None
    assert version.count(".") == 2


async def test_a_turn_is_busy_until_it_ends(real: Real) -> None:
    async with real.watch() as watch:
        conversation = await real.prompt("stream for 1 seconds")
        await becomes(watch, "a turn is running")
        await becomes(watch)

    assert conversation in watch.activity.work.begun


async def test_a_late_watch_finds_a_turn_in_another_directory(real: Real) -> None:
    async with real.watch() as early:
        conversation = await real.prompt("stream for 5 seconds", real.other)
        await becomes(early, "a turn is running")
        async with real.watch() as late:
            assert busy(late) == ["a turn is running"]
            turn = late.activity.work.turns[conversation]
            await real.server.abort(conversation, turn.directory, timeout_s=5)
            await becomes(late)

    assert turn.directory == str(real.other)


async def test_what_happened_while_the_stream_was_broken_is_known_after_it(real: Real) -> None:
    async with real.watch() as watch:
        ended = await real.prompt("stream for 30 seconds")
        await becomes(watch, "a turn is running")
    await real.server.abort(ended, str(real.own), timeout_s=5)
    began = await real.prompt("stream for 30 seconds", real.other)
    assert busy(watch) == ["a turn is running"]

    async with real.following(watch):
        assert watch.activity.work.running() == {began: str(real.other)}
        await real.server.abort(began, str(real.other), timeout_s=5)
        await becomes(watch)


async def test_a_waiting_permission_is_seen_and_gone_with_its_turn(real: Real) -> None:
    async with real.watch() as watch:
        conversation = await real.prompt("run: pwd")
        await becomes(watch, "a permission is waiting")
        async with real.watch() as late:
            assert busy(late) == ["a permission is waiting"]
        await real.server.abort(conversation, str(real.own), timeout_s=5)
        await becomes(watch)

    assert await real.server.fetch("/permission")  # which is why the list alone is not believed
    async with real.watch() as late:
        assert busy(late) == []


async def test_an_answered_permission_lets_the_turn_end(real: Real) -> None:
    async with real.watch() as watch:
        await real.prompt("run: pwd -P")
        await becomes(watch, "a permission is waiting")
        (ask,) = watch.activity.work.asks
        await real.post(f"/permission/{ask}/reply", {"reply": "once"})
        await becomes(watch)


async def test_a_terminal_prints_or_rests_though_nobody_is_connected(real: Real) -> None:
    async with real.watch() as watch:
        printing = await open_terminal(real, "while :; do echo x; sleep 0.1; done", real.other)
        resting = await open_terminal(real, "sleep 60")

        async def both_known() -> bool:
            return set(watch.activity.work.terminals) == {printing, resting}

        await until(both_known, "both terminals are known")
        before = await looked(real, watch)

        async def printed() -> bool:
            return (await looked(real, watch))[printing] > before[printing]

        await until(printed, "the terminal printed")
        assert (await looked(real, watch))[resting] == before[resting]
        assert busy(watch) == ["a terminal prints"]
        for terminal, directory in ((printing, real.other), (resting, real.own)):
            await close_terminal(real, terminal, directory)

        async def both_gone() -> bool:
            return watch.activity.work.terminals == {}

        await until(both_gone, "the ends of both terminals are known")
        assert busy(watch) == []


async def looked(real: Real, watch: Watch) -> dict[str, int]:
    terminals = dict(watch.activity.work.terminals)
    known = {key: terminal.cursor for key, terminal in terminals.items()}
    cursors = await look_at_terminals(real.server, terminals)
    if None not in known.values() and cursors != known:
        watch.activity.looked(cursors, anyio.current_time())
    elif None in known.values():  # the first look counts as output, which is not what is tested
        watch.activity.looked(cursors, anyio.current_time() - 1000)
    return cursors


async def open_terminal(real: Real, script: str, directory: Path | None = None) -> str:
    body = {"command": "/bin/sh", "args": ["-c", script]}
    key: str = (await real.post("/pty", body, directory))["id"]
    return key


async def close_terminal(real: Real, key: str, directory: Path) -> None:
    address = real.server.address
    await real.server.client.delete(
        f"http://{address.host}:{address.port}/pty/{key}",
        headers={"x-opencode-directory": quote(str(directory))},
        auth=("opencode", PASSWORD),
    )


async def test_a_resting_server_is_given_no_activity_by_being_watched(real: Real) -> None:
    async with real.watch() as watch:
        before = watch.activity.last
        async with real.watch():
            await look_at_terminals(real.server, watch.activity.work.terminals)

        assert watch.activity.last == before


async def test_turns_it_was_killed_in_are_told_and_nothing_is_loaded_to_find_them(
    tmp_path: Path, model: str
) -> None:
    async with running(tmp_path, model) as real, real.watch() as watch:
        here = await real.prompt("stream for 60 seconds")
        there = await real.prompt("run: sleep 5", real.other)
        await becomes(watch, "2 turns are running")
        await until(lambda: tool_runs(real, there), "its command runs")
        ran = watch.activity.work.running()

    async with running(tmp_path, model) as real, everything(real) as lines:
        async with real.watch(booted=datetime.now(UTC)) as watch:
            assert busy(watch) == []
            found = await find_interrupted(real.server)
            assert not await loaded(lines)
            told = await find_interrupted(real.server, ran)
            await real.prompt_again(here, "hello")
            await until(lambda: again(watch, here), "a new turn ended")

        assert [kinds(found, here), kinds(found, there)] == [ENDING, []]
        assert kinds(told, there) == [ENDING[0], "message.part.updated", *ENDING[1:]]
        assert {each["directory"] for each in told} == {str(real.own), str(real.other)}
        assert told[1]["payload"]["properties"]["error"]["data"]["message"] == WHY
        assert [kinds(await find_interrupted(real.server), here)] == [[]]


ENDING = ["message.updated", "session.error", "session.status", "session.idle"]


def kinds(told: list[dict[str, Any]], conversation: str) -> list[str]:
    return [each["payload"]["type"] for each in told if conversation_of(each) == conversation]


async def again(watch: Watch, conversation: str) -> bool:
    return conversation in watch.activity.work.begun and not busy(watch)


async def tool_runs(real: Real, conversation: str) -> bool:
    messages = await real.server.fetch(f"/session/{conversation}/message", {"limit": "1"})
    states = [part.get("state", {}) for part in messages[-1]["parts"]]
    return any(state.get("status") == "running" for state in states)


async def loaded(lines: list[bytes]) -> bool:
    """Loading an instance is announced so."""
    return any(b"project.updated" in line for line in lines)


@asynccontextmanager
async def everything(real: Real) -> AsyncIterator[list[bytes]]:
    """All lines of its event stream, as they come."""
    came: list[bytes] = []

    async def follow() -> None:
        lines = Lines()
        async with real.server.streamed("/global/event") as pieces:
            async for piece in pieces:
                came.extend(lines.fed(piece))

    async def begun() -> bool:
        return bool(came)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await until(begun, "the stream began")
        yield came
        tasks.cancel_scope.cancel()
