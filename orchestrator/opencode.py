"""What an OpenCode server is told: its agent's configuration, its environment, its password.

What is built here is all that OpenCode learns of its agent, be it told when it starts or, as a
spare that runs already, when it is claimed. Nothing here starts, asks or stops anything.
"""

import hmac
import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from orchestrator.containers import Agent, Environment, Identity

USERNAME = "opencode"
COMPATIBLE = "openai-compatible"
KEY_VARIABLES = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "google": "GOOGLE_GENERATIVE_AI_API_KEY",
    COMPATIBLE: "OPENAI_COMPATIBLE_API_KEY",
}
# What an own model is taken to be able to do; OpenCode knows the others from its own list.
_OWN_MODEL = {"tool_call": True, "limit": {"context": 128_000, "output": 8_192}}
_SETTLED = {"share": "disabled", "autoupdate": False}
_HIDDEN = "[hidden]"
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def password(key: bytes, nonce: str) -> str:
    """The server password of the container that carries `nonce`; derived, so never stored."""
    return hmac.new(key, f"opencode server password {nonce}".encode(), sha256).hexdigest()


def environment(agent: Agent, token: str, server_password: str) -> Environment:
    """For an OpenCode that is started for its agent."""
    variable = KEY_VARIABLES[agent.provider]
    config = configuration(agent, f"{{env:{variable}}}")
    values = {**_surroundings(config, server_password), variable: token}
    return Environment(values, (token, server_password))


def spare_environment(server_password: str) -> Environment:
    """For an OpenCode that is nobody's yet: it knows no provider."""
    config = {**_SETTLED, "enabled_providers": []}
    return Environment(_surroundings(config, server_password), (server_password,))


def identity(agent: Agent, token: str) -> Identity:
    """What makes a spare this agent's. No process can be given an environment while it runs, so
    the key is written out; a tool that looks for it in the key's variable does not find it."""
    return Identity(json.dumps(configuration(agent, token)), (token,))


def _surroundings(config: Mapping[str, Any], server_password: str) -> dict[str, str]:
    return {
        "OPENCODE_SERVER_USERNAME": USERNAME,
        "OPENCODE_SERVER_PASSWORD": server_password,
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
    }


def configuration(agent: Agent, key: str) -> dict[str, Any]:
    """OpenCode's configuration for this agent, with its key or with where to find that."""
    options = {"apiKey": key}
    if agent.base_url is not None:
        options["baseURL"] = agent.base_url
    provider: dict[str, Any] = {"options": options}
    if agent.provider == COMPATIBLE:
        provider |= {"npm": "@ai-sdk/openai-compatible", "name": agent.base_url}
    config: dict[str, Any] = {
        **_SETTLED,
        "enabled_providers": [agent.provider],
        "provider": {agent.provider: provider},
    }
    if agent.model is not None:
        # Named here too, so that a model newer than OpenCode's bundled list is known.
        own = _OWN_MODEL if agent.provider == COMPATIBLE else {}
        provider["models"] = {agent.model: own}
        config["model"] = f"{agent.provider}/{agent.model}"
    if agent.provider == COMPATIBLE:
        config["small_model"] = config["model"]
    return config


def redacted(lines: list[str], secrets: tuple[str, ...]) -> list[str]:
    """The lines without secrets and terminal codes, for a sentence that people read."""
    # The codes first: between the letters of a secret they would hide it from us, and from nobody.
    text = _TERMINAL_CODES.sub("", "\n".join(lines))
    for secret in secrets:
        if secret:
            text = text.replace(secret, _HIDDEN)
    return [clean for line in text.splitlines() if (clean := line.strip())]
