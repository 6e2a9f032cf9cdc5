"""Following a server's events, and knowing what was missed, against one that does as it is told."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from orchestrator.server import Client, Server, stream_client
from orchestrator.watch import Watch
from tests.orchestrator.captured import CONVERSATION, PERMISSION
from tests.orchestrator.fake_opencode import WORKSPACE, FakeOpenCode, Manner
from tests.support.waiting import until

BOOTED = datetime(2026, 1, 2, tzinfo=UTC)
BUSY = {CONVERSATION: {"type": "busy"}}


class Watched:
    """A server, its watch, and how often the watch told of a change."""

    def __init__(self, server: FakeOpenCode, client: Client) -> None:
        self.server = server
        asking = Server(client, server.address, "right")
        self.watch = Watch(asking, BOOTED, anyio.current_time, self._note, frozen=self._is_frozen)
        self.frozen = False
        self.asked_if_frozen = 0
        self.changes = 0
        self._changed = anyio.Event()

    def _note(self) -> None:
        self.changes += 1
        self._changed.set()

    def _is_frozen(self) -> bool:
        self.asked_if_frozen += 1
        return self.frozen

    def busy(self) -> list[str]:
        return self.watch.activity.busy(anyio.current_time(), 60)

    async def until(self, phrases: list[str], *, sees: bool = True, within_s: float = 5) -> None:
        with anyio.fail_after(within_s):
            while (self.busy(), self.watch.sees) != (phrases, sees):
                self._changed = anyio.Event()
                await self._changed.wait()

    def tell_status(self, kind: str, directory: str = WORKSPACE) -> None:
        self.server.tell("session.status", directory, sessionID=CONVERSATION, status={"type": kind})

    def asked(self) -> list[str]:
        return [asked.removeprefix("GET ") for asked in self.server.asked]

    async def follows(self, times: int) -> None:
        """Return when it has begun to follow the server for so many times."""

        async def has_followed() -> bool:
            return self.asked().count("/global/event") >= times

        await until(has_followed, f"it follows for the {times}. time", within_s=5)


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenCode]:
    server = FakeOpenCode("right")
    server.address = await server.listen()
    yield server
    await server.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """To be had before what is watched: its patience begins with it."""
    monkeypatch.setattr("orchestrator.watch._LONGEST_SILENCE_S", 0.1)
    monkeypatch.setattr("orchestrator.watch._LOOK_EVERY_S", 0.01)


@pytest.fixture
async def watched(server: FakeOpenCode) -> AsyncIterator[Watched]:
    async with stream_client() as client, anyio.create_task_group() as tasks:
        watched = Watched(server, client)
        tasks.start_soon(watched.watch.follow)
        yield watched
        tasks.cancel_scope.cancel()


async def test_a_turn_makes_it_busy_and_its_end_idle(watched: Watched) -> None:
    await watched.until([])
    watched.tell_status("busy")
    await watched.until(["a turn is running"])
    watched.tell_status("idle")
    await watched.until([])

    assert watched.changes == 3


async def test_what_ran_before_it_came_is_found(server: FakeOpenCode, watched: Watched) -> None:
    server.says["/session/status"] = BUSY
    server.says["/permission"] = [{"id": PERMISSION, "sessionID": CONVERSATION}]
    server.says["/pty"] = [{"id": "pty_1", "status": "running"}]
    await watched.until(["a permission is waiting"])

    assert watched.watch.activity.work.turns[CONVERSATION].directory == WORKSPACE
    assert set(watched.watch.activity.work.terminals) == {"pty_1"}


async def test_only_directories_used_since_the_boot_are_asked_for(
    server: FakeOpenCode, watched: Watched
) -> None:
    server.says["/experimental/session"] = [
        {"id": "ses_child", "directory": "/a b", "parentID": CONVERSATION}
    ]
    server.says["/session/status in /a b"] = BUSY
    await watched.until(["a turn is running"])

    since = int(BOOTED.timestamp() * 1000)
    assert f"/experimental/session?start={since}&limit=500" in watched.asked()
    named = {asked.partition("directory=")[2] for asked in watched.asked()} - {""}
    assert named == {"%252Fworkspace", "%252Fa%2520b"}


async def test_a_broken_stream_is_taken_up_again_and_what_was_missed_is_known(
    watched: Watched,
) -> None:
    watched.tell_status("busy")
    await watched.until([])
    watched.tell_status("busy", "/elsewhere")
    await watched.until(["a turn is running"])

    watched.server.says["/session/status in /elsewhere"] = {}
    watched.server.cut()
    await watched.until([])


async def test_while_it_does_not_see_it_says_so(watched: Watched) -> None:
    await watched.until([])
    watched.server.manner = Manner.STRANGER
    watched.server.cut()
    await watched.until([], sees=False)
    watched.server.manner = Manner.HEALTHY
    await watched.until([])


async def test_a_directory_that_cannot_be_loaded_hides_no_other(
    server: FakeOpenCode, watched: Watched
) -> None:
    server.manner = Manner.BROKEN
    server.says["/pty"] = [{"id": "pty_1", "status": "running"}]
    await watched.until([])
    watched.tell_status("busy")
    await watched.until(["a turn is running"])


async def test_a_silent_server_is_waited_for(server: FakeOpenCode, watched: Watched) -> None:
    server.manner = Manner.MUTE
    with anyio.fail_after(5):
        while not server.asked:
            await anyio.lowlevel.checkpoint()

    assert watched.watch.sees is False
    assert watched.asked() == ["/global/event"]


async def test_what_is_not_answered_in_time_is_asked_anew(
    server: FakeOpenCode, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.watch._ANSWER_WITHIN_S", 0.05)
    server.hangs_at = {"/permission"}
    server.says["/session/status"] = BUSY
    await watched.follows(2)
    assert watched.watch.sees is False

    server.hangs_at.clear()
    await watched.until(["a turn is running"])


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("manner", [Manner.HEALTHY, Manner.MUTE])
async def test_a_stream_that_fell_silent_is_lost_unless_its_server_is_frozen(
    server: FakeOpenCode, watched: Watched, manner: Manner
) -> None:
    server.manner = manner
    watched.frozen = True

    async def silent_for_long() -> bool:
        return watched.asked_if_frozen >= 30

    await until(silent_for_long, "thrice the longest silence is over", within_s=5)
    assert watched.asked().count("/global/event") == 1
    watched.frozen = False
    await watched.follows(2)


async def test_letters_that_end_a_line_elsewhere_do_not_end_one_here(watched: Watched) -> None:
    await watched.until([])
    watched.server.tell("session.status", "/\u2028", sessionID="s", status={"type": "busy"})
    await watched.until(["a turn is running"])


async def test_hundreds_of_watches_share_a_client(server: FakeOpenCode) -> None:
    async with stream_client() as client, anyio.create_task_group() as tasks:
        many = [Watched(server, client) for _ in range(105)]
        for each in many:
            tasks.start_soon(each.watch.follow)
        for each in many:
            await each.until([], within_s=60)
        tasks.cancel_scope.cancel()

    assert [each.changes for each in many] == [1] * 105
