"""What can happen to one container: killed, frozen, out of memory, misconfigured; what people see.

Each time three things are held to: the reason is told in words, the session goes on when it is
asked again, and no conversation is lost.
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx
import pytest

from tests.support.desk import OWN, Desk, route, seated
from tests.support.engine import docker, docker_host
from tests.support.scripted_model import scripted_model
from tests.support.services import services
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode]

_MEMORY = 1 << 30
# The engine's own word comes in milliseconds. Who went by questions alone would be later than this.
_DEATH_NOTICED_S = 3
# Ten seconds between two questions, and then as long as an answer may take.
_PROBED_WITHIN_S = 30
_RESTS_S = 3
_TURN_BEGUN_S = 60
_INTERRUPTED = "The container was killed while it worked on this. Ask again to go on."
_CONFIG = "/workspace/opencode.json"


@pytest.fixture(scope="module")
async def alice(
    opencode_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Desk]:
    """One person at one desk, whose container is small; nothing else serves in its place."""
    docker_host()
    state = tmp_path_factory.mktemp("faults") / "state"
    settings = {"MEMORY_BYTES": str(_MEMORY), "POOL_SIZE": "0"}
    async with scripted_model("docker") as model, services(state, **settings) as both:
        desk = await seated(both.deployment(), model, "alice")
        yield desk
        await desk.http.aclose()


async def test_a_killed_container_is_noticed_at_once_and_its_conversations_are_there_again(
    alice: Desk,
) -> None:
    conversation_id = await alice.conversation("before the kill")

    await _docker("kill", alice.container)
    await until(partial(_is, alice, "stopped"), "its death noticed", _DEATH_NOTICED_S)
    why = await _why(alice)
    found = await alice.own("GET", f"/session/{conversation_id}")

    assert why.startswith("It was ended by signal 9. It is started again when it is needed.")
    assert found["title"] == "before the kill"


async def test_a_container_frozen_from_outside_is_woken_by_the_next_request(alice: Desk) -> None:
    conversation_id = await alice.conversation("before the frost")
    before = await _life(alice)
    await until(partial(_has_rested, alice), "nobody using it")

    await _docker("pause", alice.container)
    await until(partial(_is, alice, "frozen"), "its frost noticed", _DEATH_NOTICED_S)
    why = await _why(alice)
    found = await alice.own("GET", f"/session/{conversation_id}")

    assert why.startswith("It was frozen by somebody else. The next request wakes it.")
    assert found["title"] == "before the frost"
    assert await _life(alice) == before


async def test_a_container_thawed_from_outside_is_ready_again(alice: Desk) -> None:
    await alice.own("GET", "/session")
    before = await _life(alice)
    await until(partial(_has_rested, alice), "nobody using it")

    await _docker("pause", alice.container)
    await until(partial(_is, alice, "frozen"), "its frost noticed", _DEATH_NOTICED_S)
    await _docker("unpause", alice.container)
    await until(partial(_is, alice, "ready"), "its thaw noticed", _DEATH_NOTICED_S)

    await alice.own("GET", "/session")
    assert await _life(alice) == before


async def test_a_tool_that_fills_the_memory_is_killed_alone_and_its_turn_goes_on(
    alice: Desk,
) -> None:
    await alice.own("GET", "/session")
    before = await _life(alice)

    told = await alice.chat("run: tail /dev/zero; echo status $?")

    assert "status 137" in told
    assert await _is(alice, "ready")
    assert await _life(alice) == before


async def test_a_server_killed_for_want_of_memory_says_so_and_starts_again(alice: Desk) -> None:
    conversation_id = await alice.conversation("before the memory was full")

    # Many small ones, so that the server is the largest and the one that is killed.
    eater = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 60"
    eaters = f'for i in $(seq 60); do sh -c "{eater}" & done; wait'
    await _docker("exec", "--detach", alice.container, "bash", "-c", eaters)
    await until(partial(_has_ended, alice), "its death noticed")
    why = await _why(alice)
    await until(partial(_answers, alice), "the session being back", _TURN_BEGUN_S)
    found = await alice.own("GET", f"/session/{conversation_id}")

    assert why.startswith("It was killed because it used all its memory (1024 MiB).")
    assert found["title"] == "before the memory was full"


async def test_a_turn_that_a_kill_left_unfinished_is_told_to_who_comes_back(alice: Desk) -> None:
    conversation_id = await alice.conversation("killed at work")
    parts = {"parts": [{"type": "text", "text": "stream for 60 seconds"}]}
    async with alice.http.stream("GET", "/global/event") as events:
        begun = await alice.http.post(f"/session/{conversation_id}/prompt_async", json=parts)
        assert begun.status_code == 204
        await _heard(events, "message.part.updated", conversation_id)

        await _docker("kill", alice.container)

    await until(partial(_answers, alice), "the session being back", _TURN_BEGUN_S)
    async with alice.http.stream("GET", "/global/event") as events:
        told = await _heard(events, "session.error", conversation_id)
    assert told["properties"]["error"]["data"]["message"] == _INTERRUPTED


async def test_a_configuration_that_breaks_while_it_runs_is_told_with_what_to_do(
    alice: Desk,
) -> None:
    conversation_id = await alice.conversation("before the configuration broke")

    await _docker("exec", alice.container, "sh", "-c", f"echo '{{' > {_CONFIG}")
    await alice.http.post("/global/dispose")
    refused = await alice.http.get("/session")
    await until(partial(_explains, alice, "Mend or remove that file"), "why", _PROBED_WITHIN_S)
    why = await _why(alice)
    # OpenCode reads it once in its life.
    await _docker("exec", alice.container, "rm", _CONFIG)
    await alice.http.post(f"/api/sessions/{alice.session_id}/stop")
    found = await alice.own("GET", f"/session/{conversation_id}")

    assert (refused.status_code, route(refused)) == (400, OWN)
    assert "OpenCode can't load the workspace: ConfigJsonError" in why
    assert found["title"] == "before the configuration broke"


async def test_a_configuration_broken_before_a_start_fails_it_in_words_and_loses_nothing(
    alice: Desk,
) -> None:
    conversation_id = await alice.conversation("before the start")
    await alice.http.post(f"/api/sessions/{alice.session_id}/stop")
    await _break_stopped(alice)

    refused = await alice.http.get("/session")
    told = refused.json()["data"]
    await _docker("run", "--rm", *_volume_of(alice), "sh", _IMAGE, "-c", f"rm {_CONFIG}")
    await alice.http.post(f"/api/sessions/{alice.session_id}/start")
    await until(partial(_answers, alice), "the session being back", _TURN_BEGUN_S)
    found = await alice.own("GET", f"/session/{conversation_id}")

    assert (refused.status_code, told["reason"]) == (503, "container_failed")
    assert f"OpenCode can't load the workspace: ConfigJsonError in {_CONFIG}" in told["why"]
    assert found["title"] == "before the start"


_IMAGE = "opencode-gateway-agent:1.18.33"


def _volume_of(desk: Desk) -> tuple[str, ...]:
    return ("--volume", f"{desk.container}:/workspace", "--entrypoint")


async def _break_stopped(desk: Desk) -> None:
    """What runs nowhere is reached by its volume."""
    write = f"echo '{{' > {_CONFIG}"
    await _docker("run", "--rm", *_volume_of(desk), "sh", _IMAGE, "-c", write)


async def _docker(*arguments: str) -> str:
    return await anyio.to_thread.run_sync(lambda: docker(*arguments))


async def _has_rested(desk: Desk) -> bool:
    """Whether its last use is so long ago that nobody would wake it for that."""
    idle_since = (await _shown(desk))["idle_since"]
    if idle_since is None:
        return False
    rest = datetime.now(UTC) - datetime.fromisoformat(idle_since)
    return rest.total_seconds() > _RESTS_S


async def _life(desk: Desk) -> str:
    """Which container it is and since when it runs."""
    return await _docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", desk.container)


async def _shown(desk: Desk) -> dict[str, Any]:
    shown: dict[str, Any] = (await desk.http.get(f"/api/sessions/{desk.session_id}")).json()
    return shown


async def _is(desk: Desk, state: str) -> bool:
    return bool((await _shown(desk))["state"] == state)


async def _has_ended(desk: Desk) -> bool:
    """Stopped if that was the first time, failed if it happens again and again."""
    return (await _shown(desk))["state"] in ("stopped", "failed")


async def _why(desk: Desk) -> str:
    return str((await _shown(desk))["why"])


async def _explains(desk: Desk, words: str) -> bool:
    return words in await _why(desk)


async def _answers(desk: Desk) -> bool:
    answer = await desk.http.get("/session")
    return bool(answer.status_code == 200)


async def _heard(events: httpx.Response, kind: str, conversation_id: str) -> dict[str, Any]:
    """The first event of that kind which tells of the conversation."""
    with anyio.fail_after(_TURN_BEGUN_S):
        async for line in events.aiter_lines():
            if line.startswith("data: ") and conversation_id in line:
                payload: dict[str, Any] = json.loads(line.removeprefix("data: "))["payload"]
                if payload["type"] == kind:
                    return payload
    raise AssertionError(f"The stream ended without {kind}.")
