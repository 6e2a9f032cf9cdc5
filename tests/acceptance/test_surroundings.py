"""What happens around an orchestrator: its clock is set forward, its disk is full for a while.

Neither may cost anybody their container, nor a conversation.
"""

import subprocess
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import anyio.to_thread
import pytest

from tests.support.absent import absent
from tests.support.engine import docker, docker_host
from tests.support.mortal import Mortal, mortal, prompted
from tests.support.scripted_model import Model, scripted_model
from tests.support.waiting import until

pytestmark = [pytest.mark.docker, pytest.mark.opencode]

_YEARS = 3650
_DAY_S = 86400
_ANSWER = "Hello! I am a scripted model. You said: hello"


@pytest.fixture
async def model(opencode_binary: Path) -> AsyncIterator[Model]:
    docker_host()
    async with scripted_model("docker") as served:
        yield served


async def test_a_clock_set_forward_freezes_stops_and_deletes_nothing(
    model: Model, tmp_path: Path
) -> None:
    kept, idle = uuid4().hex, uuid4().hex
    ladder = {"FREEZE_AFTER_S": "4", "STOP_AFTER_S": "7200", "REMOVE_AFTER_S": str(_DAY_S)}
    async with mortal(tmp_path / "state", model, **ladder) as one:
        await one.start()
        await one.ensure(kept)
        await one.order(kept, "keep", for_s=3600)
        await one.ensure(idle)

        await one.set_clock_forward(_YEARS)

        # The ladder goes on at its own pace: once it has frozen one, it has looked at both.
        await until(partial(one.is_in, idle, "frozen"), "the ladder's next step")
        assert await one.is_in(kept, "ready")
        told = await one.view(idle)
        assert told is not None
        assert told["next"]["action"] == "stop"
        assert 7000 < told["next"]["in_s"] <= 7200
        await one.order(idle, "keep", for_s=3600)  # nobody else reports its use here
        assert await prompted(await one.ensure(idle), "hello") == _ANSWER
        await one.agrees()


async def test_a_clock_set_forward_past_the_last_step_keeps_the_files(
    model: Model, tmp_path: Path
) -> None:
    session_id = uuid4().hex
    async with mortal(tmp_path / "state", model, REMOVE_AFTER_S=str(_DAY_S)) as one:
        await one.start()
        await prompted(await one.ensure(session_id), "hello")
        await one.order(session_id, "stop")

        await one.set_clock_forward(_YEARS)

        await until(partial(_has_no_container, session_id), "its container cleared away")
        await one.agrees()
        assert await prompted(await one.ensure(session_id), "hello") == _ANSWER


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes for the orchestrator's own folder."""
    disk = tmp_path / "state"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False).returncode != 0:
        absent("Only root can mount a small disk.")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_while_its_disk_is_full_it_begins_nothing_and_what_runs_goes_on(
    model: Model, small_disk: Path
) -> None:
    ready, wanted = uuid4().hex, uuid4().hex
    async with mortal(small_disk, model) as one:
        await one.start()
        view = await one.ensure(ready)

        await anyio.to_thread.run_sync(_fill, small_disk)
        await until(partial(_is_refused, one, wanted, "storage_unavailable"), "a refusal")
        # What can't write can't renew its lease either; it must not end over that.
        await until(partial(_is_refused, one, wanted, "standby"), "the lease lost", within_s=60)
        told = await prompted(view, "hello")
        await anyio.Path(small_disk / "filling").unlink()
        await until(partial(_is_ready_again, one, wanted), "a start", within_s=90)
        await one.ensure(ready)
        await one.agrees()

        assert told == _ANSWER
        assert await one.view(ready) is not None


def _fill(disk: Path) -> None:
    with (disk / "filling").open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue


async def _is_refused(one: Mortal, session_id: str, code: str) -> bool:
    answer = await one.asked(session_id)
    return answer.status_code == 503 and bool(answer.json()["data"]["code"] == code)


async def _is_ready_again(one: Mortal, session_id: str) -> bool:
    return (await one.asked(session_id)).status_code == 200


async def _has_no_container(session_id: str) -> bool:
    asked = ("ps", "-aq", "--filter", f"name=agent_{session_id}")
    return not await anyio.to_thread.run_sync(lambda: docker(*asked))
