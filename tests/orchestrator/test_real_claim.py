"""A spare with the real OpenCode in it becomes an agent's, from its first prompt on."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from orchestrator import opencode
from orchestrator.containers import Agent, Identity, Limits, Spec, name_of, spare_key
from orchestrator.engines.docker import DockerEngine
from orchestrator.engines.docker_json import Place
from orchestrator.server import NotReady, Server, client
from orchestrator.settings import DEFAULT_IMAGE
from tests.orchestrator.real_docker import ENVIRONMENT, docker, need_docker
from tests.support.scripted_model import KEY, Model, scripted_model
from tests.support.waiting import until

PASSWORD = "the-spares-own-password"
LIMITS = Limits(memory_bytes=1 << 30, cpus=1.0, pids=512)
Caller = httpx.AsyncClient  # noqa: TID251 - the test's own

pytestmark = [pytest.mark.docker, pytest.mark.opencode]


@dataclass
class Life:
    """One container, first nobody's and then an agent's, and who asks it."""

    engine: DockerEngine
    spare: str
    key: str
    server: Server
    caller: Caller

    async def get(self, path: str) -> str:
        answer = await self.caller.get(path)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def claimed(self, identity: Identity) -> None:
        """As the orchestrator does it: told, then made to read it, then seen to serve."""
        await self.engine.claim(self.spare, self.key, identity)
        await self.server.dispose()
        await self.server.check_instance(30)

    async def prompted(self) -> str:
        made = (await self.caller.post("/session", json={})).json()
        parts = {"parts": [{"type": "text", "text": "hello"}]}
        answer = await self.caller.post(f"/session/{made['id']}/message", json=parts)
        assert answer.status_code == 200, answer.text
        return answer.text

    async def healthy(self) -> bool:
        try:
            await self.server.check_health(2)
        except NotReady:
            return False
        return True


@pytest.fixture
async def model() -> AsyncIterator[Model]:
    need_docker()
    async with scripted_model("docker") as model:
        yield model


@pytest.fixture
async def life(model: Model) -> AsyncIterator[Life]:
    """A spare that is booted and warm, as one of the pool is."""
    network = f"opencode-gateway-test-{secrets.token_hex(4)}"
    engine = DockerEngine(ENVIRONMENT, Place(secrets.token_hex(16), network, "ip"))
    spare = spare_key(secrets.token_hex(16))
    fingerprint = await engine.fingerprint(DEFAULT_IMAGE, LIMITS)
    await engine.create(
        Spec(spare, name_of(spare), 0, DEFAULT_IMAGE, LIMITS, "a-nonce", fingerprint)
    )
    seen = await engine.start(spare, opencode.spare_environment(PASSWORD))
    assert seen.address is not None
    base_url = f"http://{seen.address.host}:{seen.address.port}"
    async with (
        client() as questions,
        Caller(
            base_url=base_url, auth=("opencode", PASSWORD), timeout=60, trust_env=False
        ) as caller,
    ):
        server = Server(questions, seen.address, PASSWORD)
        life = Life(engine, spare, secrets.token_hex(16), server, caller)
        await until(life.healthy, "the spare answering", 60)
        await server.check_instance(30)
        yield life
    for each in await engine.find_all():
        await engine.remove(each.key)
    for volume in await engine.volumes():
        await engine.remove_volume(volume)
    await engine.aclose()
    docker("network", "rm", network)


def identity(model: Model) -> Identity:
    agent = Agent("a" * 32, "openai-compatible", "scripted", model.base_url, None)
    return opencode.identity(agent, KEY)


async def test_the_first_prompt_after_a_claim_uses_the_agents_model_and_key(
    life: Life, model: Model
) -> None:
    before = await life.get("/config") + await life.get("/config/providers")
    await life.claimed(identity(model))
    answered = await life.prompted()

    assert KEY not in before
    assert '"providerID":"openai-compatible"' in answered
    assert set(model.script.authorizations) == {f"Bearer {KEY}"}


async def test_a_claimed_spare_has_no_conversation_and_no_tool_of_it_can_read_the_key(
    life: Life, model: Model
) -> None:
    """The key is in the configuration, as always; the environment of a tool is free of it."""
    await life.claimed(identity(model))
    environments = docker("exec", name_of(life.key), "sh", "-c", "cat /proc/[0-9]*/environ")

    assert await life.get("/session") == "[]"
    assert PASSWORD in environments
    assert KEY not in environments


async def test_a_claimed_spare_that_was_stopped_starts_cold_as_its_agents(
    life: Life, model: Model
) -> None:
    await life.claimed(identity(model))
    made = (await life.caller.post("/session", json={})).json()
    await life.engine.stop(life.key)
    agent = Agent("a" * 32, "openai-compatible", "other", model.base_url, None)
    await life.engine.start(life.key, opencode.environment(agent, KEY, PASSWORD))
    await until(life.healthy, "the container answering again", 60)

    assert made["id"] in await life.get("/session")
    assert '"model":"openai-compatible/other"' in await life.get("/config")
