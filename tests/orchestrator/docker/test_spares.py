"""What becomes of a spare's name and of what it was told, as far as only Docker can show it."""

import json
import secrets
from functools import partial

import pytest

from orchestrator.containers import Environment, Identity, name_of
from tests.orchestrator.asking import STAYS, ended, eventually, printed, started
from tests.orchestrator.engines import Bench
from tests.orchestrator.real_docker import docker, inspected

pytestmark = pytest.mark.docker
SECRETS = Environment(
    {"OPENCODE_SERVER_PASSWORD": "the-password", "OPENAI_API_KEY": "sk-the-token"}, ()
)
IDENTITY = Identity('{"key": "sk-the-token", "rest": "`a` $HOME %s \\\\n"}', ())


def configuration(key: str) -> str:
    return docker("exec", name_of(key), "cat", "/etc/opencode/opencode.json")


async def test_what_a_spare_is_told_is_its_users_alone_and_in_nothing_docker_shows(
    bench: Bench, key: str, spare: str
) -> None:
    await started(bench.engine, spare, SECRETS)
    await bench.engine.claim(spare, key, IDENTITY)

    assert configuration(key) == IDENTITY.configuration
    mode = docker("exec", name_of(key), "stat", "-c", "%a %u", "/etc/opencode/opencode.json")
    assert mode == "600 1000"
    name = name_of(key)
    shown = json.dumps(inspected(key)) + docker("diff", name) + docker("logs", name)
    assert "sk-the-token" not in shown + docker("top", name)


async def test_nothing_of_an_identity_outlives_the_run_it_was_told_in(
    bench: Bench, key: str, spare: str
) -> None:
    await started(bench.engine, spare)
    await bench.engine.claim(spare, key, IDENTITY)
    await bench.kill(key)
    await ended(bench.engine, key)
    left = docker("cp", f"{name_of(key)}:/etc/opencode", "-")

    await bench.engine.start(key, STAYS)
    assert "sk-the-token" not in left
    assert docker("exec", name_of(key), "ls", "-A", "/etc/opencode") == ""


async def listening(key: str) -> int:
    """How many processes run the launcher, beside the init that was told to start it."""
    return docker("top", name_of(key), "-o", "pid,args").count("opencode-gateway/start") - 1


async def test_only_a_spare_listens_to_who_it_shall_be_and_only_until_it_is_told(
    bench: Bench, key: str, spare: str
) -> None:
    await started(bench.engine, spare)
    await printed(bench.engine, spare, "workspace writable")
    assert await listening(spare) == 1

    await bench.engine.claim(spare, key, IDENTITY)
    other = secrets.token_hex(16)
    await started(bench.engine, other)
    await printed(bench.engine, other, "workspace writable")
    assert await listening(other) == 0
    await eventually(partial(listening, key), lambda found: found == 0)


async def test_a_claim_leaves_nothing_of_the_former_name_but_the_volumes(
    bench: Bench, key: str, spare: str
) -> None:
    await started(bench.engine, spare)
    await bench.engine.claim(spare, key, IDENTITY)

    shown = inspected(key)
    del shown["Mounts"], shown["HostConfig"]["Mounts"]
    assert spare not in json.dumps(shown)
    assert name_of(spare) not in docker("ps", "-a", "--format", "{{.Names}}")


async def test_neighbours_find_a_claimed_container_under_its_new_name_only(
    bench: Bench, key: str, spare: str
) -> None:
    neighbour = secrets.token_hex(16)
    await started(bench.engine, neighbour)
    await started(bench.engine, spare)
    seen = await bench.engine.claim(spare, key, IDENTITY)
    asked = f"getent hosts {name_of(key)}; getent hosts {name_of(spare)} || echo unknown"
    found = docker("exec", name_of(neighbour), "sh", "-c", asked).split()

    assert seen.address is not None
    assert (found[0], found[-1]) == (seen.address.host, "unknown")
