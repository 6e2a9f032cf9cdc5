"""What an OpenCode server is told of its agent, and what is asked of it."""

import json
from collections.abc import AsyncIterator

import pytest

from orchestrator import opencode
from orchestrator.containers import Address, Agent
from orchestrator.opencode import KEY_VARIABLES, NotReady, Server
from tests.orchestrator.fake_opencode import FakeOpenCode, Manner

OWN = Agent("a" * 32, "openai-compatible", "own/model", "http://127.0.0.1:9/v1", None)


def agent(provider: str, model: str | None = None, base_url: str | None = None) -> Agent:
    return Agent("a" * 32, provider, model, base_url, None)


@pytest.mark.parametrize("provider", KEY_VARIABLES)
def test_the_token_is_in_its_own_variable_and_only_named_in_the_configuration(
    provider: str,
) -> None:
    values = opencode.environment(agent(provider, "m", "http://h"), "sk-secret", "pass").values

    assert values[KEY_VARIABLES[provider]] == "sk-secret"
    assert "sk-secret" not in values["OPENCODE_CONFIG_CONTENT"]
    config = json.loads(values["OPENCODE_CONFIG_CONTENT"])
    options = config["provider"][provider]["options"]
    assert options["apiKey"] == f"{{env:{KEY_VARIABLES[provider]}}}"


def test_a_known_provider_needs_no_model_and_no_address() -> None:
    assert opencode.configuration(agent("anthropic")) == {
        "share": "disabled",
        "autoupdate": False,
        "enabled_providers": ["anthropic"],
        "provider": {"anthropic": {"options": {"apiKey": "{env:ANTHROPIC_API_KEY}"}}},
    }


def test_a_compatible_provider_brings_its_own_model_and_uses_it_for_titles_too() -> None:
    config = opencode.configuration(OWN)

    assert config["model"] == config["small_model"] == "openai-compatible/own/model"
    provider = config["provider"]["openai-compatible"]
    assert provider["npm"] == "@ai-sdk/openai-compatible"
    assert provider["options"]["baseURL"] == "http://127.0.0.1:9/v1"
    assert provider["models"]["own/model"]["tool_call"] is True


def test_nothing_is_fetched_or_updated_at_run_time() -> None:
    values = opencode.environment(OWN, "t", "p").values

    switches = [name for name, value in values.items() if "DISABLE" in name and value == "1"]
    assert sorted(switches) == [
        "OPENCODE_DISABLE_AUTOUPDATE",
        "OPENCODE_DISABLE_LSP_DOWNLOAD",
        "OPENCODE_DISABLE_MODELS_FETCH",
    ]


def test_passwords_differ_by_nonce_and_by_key_and_are_the_same_again() -> None:
    first = opencode.password(b"key", "nonce")

    assert first == opencode.password(b"key", "nonce")
    others = {opencode.password(b"key", "other"), opencode.password(b"other", "nonce")}
    assert first not in others


def test_what_is_repeated_to_people_holds_no_secret_and_no_terminal_codes() -> None:
    lines = ["\x1b[31mkey sk-\x1b[0msecret\x1b[0m refused", "", "  pass\x07word: hunter2  "]

    assert opencode.redacted(lines, ("sk-secret", "hunter2", "")) == [
        "key [hidden] refused",
        "password: [hidden]",
    ]


@pytest.fixture
async def server() -> AsyncIterator[FakeOpenCode]:
    server = FakeOpenCode("right")
    server.address = await server.listen()
    yield server
    await server.close()


async def asked(server: FakeOpenCode, check: str, password: str = "right") -> NotReady | None:
    async with opencode.client() as client:
        try:
            await getattr(Server(client, server.address, password), check)(timeout_s=0.2)
        except NotReady as reason:
            return reason
    return None


@pytest.mark.parametrize("check", ["check_health", "check_instance"])
async def test_a_healthy_server_passes(server: FakeOpenCode, check: str) -> None:
    assert await asked(server, check) is None


@pytest.mark.parametrize(
    ("manner", "check", "words", "final"),
    [
        (Manner.STRANGER, "check_health", "not a healthy OpenCode server", False),
        (Manner.MUTE, "check_health", "does not answer in time", False),
        (Manner.BROKEN, "check_instance", "ConfigJsonError in /workspace/opencode.json", True),
    ],
)
async def test_why_a_server_is_not_ready(
    server: FakeOpenCode, manner: Manner, check: str, words: str, final: bool
) -> None:
    server.manner = manner
    reason = await asked(server, check)

    assert reason is not None
    assert (words in reason.why, reason.final) == (True, final)


async def test_a_wrong_password_is_no_reason_to_wait(server: FakeOpenCode) -> None:
    reason = await asked(server, "check_health", password="wrong")

    assert reason is not None
    assert reason.final


async def test_a_closed_port_may_open_yet_and_disposing_of_it_is_done() -> None:
    async with opencode.client() as client:
        nobody = Server(client, Address("127.0.0.1", 1), "p")
        with pytest.raises(NotReady, match="Nothing answers") as caught:
            await nobody.check_health(1)
        await nobody.dispose()
    assert not caught.value.final
