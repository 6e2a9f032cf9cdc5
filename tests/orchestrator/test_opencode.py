"""What an OpenCode server is told of its agent."""

import json

import pytest

from orchestrator import opencode
from orchestrator.containers import Agent, Environment
from orchestrator.opencode import KEY_VARIABLES

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
    assert opencode.configuration(agent("anthropic"), "sk-x") == {
        "share": "disabled",
        "autoupdate": False,
        "enabled_providers": ["anthropic"],
        "provider": {"anthropic": {"options": {"apiKey": "sk-x"}}},
    }


def test_a_compatible_provider_brings_its_own_model_and_uses_it_for_titles_too() -> None:
    config = opencode.configuration(OWN, "sk-x")

    assert config["model"] == config["small_model"] == "openai-compatible/own/model"
    provider = config["provider"]["openai-compatible"]
    assert provider["npm"] == "@ai-sdk/openai-compatible"
    assert provider["options"]["baseURL"] == "http://127.0.0.1:9/v1"
    assert provider["models"]["own/model"]["tool_call"] is True


@pytest.mark.parametrize("provider", KEY_VARIABLES)
def test_a_spare_is_told_the_same_as_one_started_cold_with_the_token_written_out(
    provider: str,
) -> None:
    own = agent(provider, "m", "http://h")
    cold = opencode.environment(own, "sk-secret", "pass").values["OPENCODE_CONFIG_CONTENT"]
    told = opencode.identity(own, "sk-secret")

    named = f"{{env:{KEY_VARIABLES[provider]}}}"
    assert json.loads(told.configuration) == json.loads(cold.replace(named, "sk-secret"))
    assert told.secrets == ("sk-secret",)


def test_an_identity_is_one_line_whatever_is_in_it() -> None:
    named = agent("anthropic", "m\u2028\x85\n")

    assert len(opencode.identity(named, "sk").configuration.splitlines()) == 1


def test_a_spare_knows_its_password_and_no_provider() -> None:
    told = opencode.spare_environment("pass")

    assert told.secrets == ("pass",)
    assert told.values["OPENCODE_SERVER_PASSWORD"] == "pass"
    assert json.loads(told.values["OPENCODE_CONFIG_CONTENT"])["enabled_providers"] == []
    assert not set(KEY_VARIABLES.values()) & set(told.values)


@pytest.mark.parametrize(
    "told", [opencode.environment(OWN, "t", "p"), opencode.spare_environment("p")]
)
def test_nothing_is_fetched_or_updated_at_run_time(told: Environment) -> None:
    values = told.values

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
