"""What only local processes can do or tell; what all engines promise is asked in `contract`."""

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.containers import Usage
from orchestrator.engines.kin import kin_of
from orchestrator.engines.pids import Process, birth, reap
from orchestrator.engines.process import ProcessEngine

# A parent and a child that computes for ever, in one group.
BUSY = "sh -c 'while :; do :; done' & wait"


# The same with the child in a session of its own, which ignores what it is told politely.
APART = "perl -MPOSIX -e '$SIG{TERM} = q(IGNORE); POSIX::setsid(); 1 while 1' & wait"


@pytest.fixture(params=[BUSY])
def process(request: pytest.FixtureRequest) -> Iterator[Process]:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", request.param], {"PATH": os.defpath}, setsid=True)
    born = birth(pid)
    assert born is not None
    process = Process(pid, born)
    yield process
    process.end(5)
    reap(pid)


def cpu_s(process: Process) -> float:
    used = process.usage()
    assert used is not None
    return used.cpu_s


def computes(process: Process) -> bool:
    """Whether it uses the processor, looked at for as long as a fifth of a second of it takes."""
    before, deadline = cpu_s(process), time.monotonic() + 0.3
    while time.monotonic() < deadline:
        if cpu_s(process) > before:
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize("process", [BUSY, APART], indirect=True)
def test_what_a_process_started_is_measured_and_frozen_with_it(process: Process) -> None:
    while cpu_s(process) == 0:
        time.sleep(0.01)

    assert process.freeze(5)
    assert not computes(process)
    process.thaw(5)
    while not computes(process):
        pass


def test_what_is_frozen_ends_politely(process: Process) -> None:
    assert process.freeze(5)
    process.end(5)

    assert reap(process.pid) == f"It was ended by signal {int(signal.SIGTERM)} (SIGTERM)."


@pytest.mark.parametrize("process", [APART], indirect=True)
def test_what_began_a_session_of_its_own_ends_with_who_started_it(process: Process) -> None:
    while not (apart := {each for each in kin_of(process.pid) if each.session != process.pid}):
        time.sleep(0.01)
    process.end(5)

    while any(birth(each.pid) == each.born for each in apart):
        time.sleep(0.01)


def test_what_was_frozen_with_a_process_that_died_does_not_stay(process: Process) -> None:
    while cpu_s(process) == 0:
        time.sleep(0.01)
    assert process.freeze(5)
    os.kill(process.pid, signal.SIGKILL)
    while process.lives():
        time.sleep(0.01)

    process.end_kin()
    reap(process.pid)
    while process.usage() != Usage(0, 0):
        time.sleep(0.01)


def test_a_number_that_belongs_to_somebody_else_by_now_is_left_alone(process: Process) -> None:
    other = Process(process.pid, "another moment")
    assert not other.freeze(0.1)
    other.end(0.1)

    assert (process.lives(), process.is_frozen()) == (True, False)


async def test_a_note_that_names_no_volume_means_the_one_of_its_containers_name(
    tmp_path: Path,
) -> None:
    note = {"session_id": "a", "nonce": "n", "fingerprint": "f", "port": 0, "end": "It ended."}
    (tmp_path / "processes").mkdir()
    (tmp_path / "processes" / "a.json").write_text(json.dumps({**note, "process": None}))
    engine = ProcessEngine(tmp_path / "opencode", tmp_path, os.defpath)

    seen = await engine.find("a")
    await engine.aclose()
    assert seen is not None
    assert (seen.volume, seen.workspace) == ("agent_a", str(tmp_path / "volumes" / "a"))
