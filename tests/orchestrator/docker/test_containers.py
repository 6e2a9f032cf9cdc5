"""What only Docker can do or refuse; the contract that all engines share is in `contract`."""

import json
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest

from orchestrator.containers import Environment, Limits, Spec, name_of
from orchestrator.engines.base import Engine, EngineError, EngineUnavailable
from orchestrator.engines.docker import DockerEngine
from orchestrator.engines.docker_json import Place
from orchestrator.settings import DEFAULT_IMAGE
from tests.orchestrator.asking import (
    LIMITS,
    created,
    ended,
    printed,
    started,
    volume_of,
)
from tests.orchestrator.engines import IMAGE, Bench
from tests.orchestrator.fake_docker import fake_docker
from tests.orchestrator.real_docker import ENVIRONMENT, build, docker, inspected

SECRETS = Environment(
    {"OPENCODE_SERVER_PASSWORD": "the-password", "OPENAI_API_KEY": "sk-the-token"}, ()
)


@pytest.mark.docker
async def test_a_container_may_do_little_and_use_little(bench: Bench, key: str) -> None:
    await started(bench.engine, key)
    shown = inspected(key)
    host = shown["HostConfig"]

    assert (host["Memory"], host["MemorySwap"]) == (LIMITS.memory_bytes, LIMITS.memory_bytes)
    assert (host["NanoCpus"], host["PidsLimit"], host["Init"]) == (500_000_000, 64, True)
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert (host["Privileged"], host["PortBindings"], host["Binds"]) == (False, {}, None)
    assert (shown["Config"]["User"], shown["Config"]["WorkingDir"]) == ("1000:1000", "/workspace")


@pytest.mark.docker
async def test_what_runs_has_no_rights_of_its_own(bench: Bench, key: str) -> None:
    await started(bench.engine, key)
    await printed(bench.engine, key, "workspace writable")

    status = docker("exec", name_of(key), "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["CapEff"], fields["CapBnd"], fields["NoNewPrivs"]) == ("0" * 16, "0" * 16, "1")
    assert fields["Uid"].split() == ["1000"] * 4


@pytest.mark.docker
async def test_secrets_are_neither_in_what_docker_shows_nor_left_in_a_file(
    bench: Bench, key: str
) -> None:
    await started(bench.engine, key, SECRETS)
    await printed(bench.engine, key, "workspace writable")
    shown = json.dumps(inspected(key)) + docker("diff", name_of(key))
    listed = docker("exec", name_of(key), "ls", "-A", "/opencode-gateway")

    assert "sk-the-token" not in shown
    assert "the-password" not in shown
    assert listed == ""


def launcher(key: str) -> str:
    """What lies in the file system of a container that does not run."""
    return docker("cp", f"{name_of(key)}:/opencode-gateway/start", "-")


@pytest.mark.docker
async def test_a_start_that_docker_refuses_leaves_no_secret(bench: Bench, key: str) -> None:
    await created(bench.engine, key)
    docker("network", "rm", bench.engine._place.network)  # type: ignore[attr-defined]
    with pytest.raises(EngineError, match="refused"):
        await bench.engine.start(key, SECRETS)

    left = launcher(key)
    assert "exit 2" in left
    assert "sk-the-token" not in left


@pytest.mark.docker
async def test_a_container_that_never_came_to_its_launcher_keeps_no_secret_once_stopped(
    bench: Bench, key: str
) -> None:
    build(f"{IMAGE}-no-shell", f'FROM {IMAGE}\nRUN ["rm", "/bin/sh"]')
    fingerprint = await bench.engine.fingerprint(f"{IMAGE}-no-shell", LIMITS)
    spec = Spec(key, key, 1, f"{IMAGE}-no-shell", LIMITS, "a-nonce", fingerprint)
    await bench.engine.create(spec)
    await bench.engine.start(key, SECRETS)
    await ended(bench.engine, key)

    await bench.engine.stop(key)

    assert "sk-the-token" not in launcher(key)


@pytest.mark.docker
async def test_labels_and_name_tell_whose_it_is(bench: Bench, key: str) -> None:
    await created(bench.engine, key)
    labels = inspected(key)["Config"]["Labels"]

    assert labels["opencode-gateway.managed"] == "true"
    assert labels["opencode-gateway.generation"] == "1"


@pytest.mark.docker
async def test_an_image_that_is_not_there_is_named(bench: Bench) -> None:
    with pytest.raises(EngineError, match=r"^The image no-such:image is not on this machine\."):
        await bench.engine.fingerprint("no-such:image", LIMITS)


@pytest.mark.docker
async def test_a_strangers_container_of_the_same_name_is_refused_in_words(
    bench: Bench, key: str
) -> None:
    docker("create", "--name", name_of(key), IMAGE)
    try:
        with pytest.raises(EngineError, match="is taken by a container that this gateway did not"):
            await created(bench.engine, key)
        await bench.engine.remove(key)
        assert inspected(key)["State"]["Status"] == "created"
    finally:
        docker("rm", name_of(key))
        docker("volume", "rm", volume_of(key))


@pytest.mark.docker
async def test_a_leftover_of_ours_makes_way(bench: Bench, key: str) -> None:
    first = await started(bench.engine, key)
    second = await created(bench.engine, key)

    assert (second.running, second.container_id != first.container_id) == (False, True)


@pytest.mark.docker
async def test_a_container_that_eats_all_its_memory_says_so(bench: Bench, key: str) -> None:
    await started(bench.engine, key, Environment({"EAT_MEMORY": "1"}, ()))

    seen = await ended(bench.engine, key)
    assert seen.end == "It was killed because it used all its memory (256 MiB)."


@pytest.mark.docker
async def test_limits_image_and_network_are_what_a_container_is_made_of(bench: Bench) -> None:
    before = await bench.engine.fingerprint(IMAGE, LIMITS)
    assert await bench.engine.fingerprint(IMAGE, LIMITS) == before
    assert await bench.engine.fingerprint(IMAGE, Limits(1 << 30, 0.5, 64)) != before
    assert await bench.engine.fingerprint(DEFAULT_IMAGE, LIMITS) != before


@pytest.mark.docker
async def test_who_come_first_together_make_one_network(bench: Bench) -> None:
    made: list[str] = []

    async def come(engine: Engine) -> None:
        made.append(await engine.fingerprint(IMAGE, LIMITS))

    async with anyio.create_task_group() as group:
        for engine in (bench.engine, bench.engine, bench.again(), bench.again()):
            group.start_soon(come, engine)
    network = bench.engine._place.network  # type: ignore[attr-defined]
    assert len(set(made)) == 1
    assert len(docker("network", "ls", "-q", "-f", f"name={network}").split()) == 1


@pytest.mark.docker
async def test_a_hand_restarted_container_lacks_its_secrets_and_ends(
    bench: Bench, key: str
) -> None:
    await started(bench.engine, key)
    await printed(bench.engine, key, "workspace writable")
    docker("restart", "-t", "0", name_of(key))

    assert "exit code 2" in (await ended(bench.engine, key)).end


@pytest.mark.docker
@pytest.mark.parametrize(("reach", "host"), [("name", "agent_"), ("port", "127.0.0.1")])
async def test_other_ways_to_reach_a_container(
    bench: Bench, key: str, reach: str, host: str
) -> None:
    place = bench.engine._place  # type: ignore[attr-defined]
    engine = DockerEngine(ENVIRONMENT, Place(place.deployment, place.network, reach))
    seen = await started(engine, key)
    await engine.aclose()

    assert seen.address is not None
    assert seen.address.host.startswith(host)
    assert (seen.address.port == 4096) == (reach == "name")


def engine_at(address: str) -> DockerEngine:
    return DockerEngine({"DOCKER_HOST": address}, Place("ours", "network", "ip"))


async def test_an_engine_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    engine = engine_at(f"unix://{tmp_path}/none.sock")
    with pytest.raises(EngineUnavailable, match=r"does not answer .* Is it running"):
        await engine.ping()
    await engine.aclose()


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        (500, "write /x: no space left on device", "The Docker Engine's disk is full."),
        (400, "Minimum memory limit allowed is 6MB.", "refused: Minimum memory limit"),
    ],
)
async def test_what_docker_refuses_is_told_in_words(
    tmp_path: Path, status: int, message: str, told: str
) -> None:
    async with fake_docker(tmp_path, status, message) as address:
        engine = engine_at(address)
        with pytest.raises(EngineError, match=told):
            await engine.create(Spec("5" * 32, "v", 1, "image", LIMITS, "nonce", "made"))
        await engine.aclose()


async def test_a_stream_of_events_that_ends_is_told(tmp_path: Path) -> None:
    async with (
        fake_docker(tmp_path, 200) as address,
        aclosing(engine_at(address).events()) as events,
    ):
        assert await anext(events) is None
        with pytest.raises(EngineUnavailable):
            await anext(events)
