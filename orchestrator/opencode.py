"""What we know of an OpenCode server: how it is configured, when it is ready, how it ends well.

The environment built here is all that OpenCode learns of its agent. Nothing here starts or stops
anything, and no container, state or engine is known: an address and a password are enough.
"""

import hmac
import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import httpx

from orchestrator.containers import Address, Agent, Environment

Client = httpx.AsyncClient  # noqa: TID251 - this adapter's one client, made by `client`
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
_HIDDEN = "[hidden]"
_DISPOSE_TIMEOUT_S = 3.0
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


class NotReady(Exception):
    """It can't serve yet; `final` when waiting will not change that."""

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.final = final


@dataclass(frozen=True, slots=True)
class Server:
    """One OpenCode server, as far as asking it goes."""

    client: Client
    address: Address
    password: str

    async def check_health(self, timeout_s: float) -> None:
        """Return if the program on the port is OpenCode and answers at all, else raise NotReady."""
        answer = await self._ask("GET", "/global/health", timeout_s)
        if answer.status_code == 401:
            raise NotReady("The server refuses this container's password.", final=True)
        if answer.status_code != 200 or _json(answer).get("healthy") is not True:
            raise NotReady("What answers on its port is not a healthy OpenCode server.")

    async def check_instance(self, timeout_s: float) -> None:
        """Return if OpenCode can load the workspace: its health says nothing of that.

        Of the endpoints that load an instance this one reads the least and holds no secret.
        """
        answer = await self._ask("GET", "/session/status", timeout_s)
        if answer.status_code == 200:
            return
        raise NotReady(
            f"OpenCode can't load the workspace: {_words(_json(answer), answer.status_code)}.",
            final=400 <= answer.status_code < 500,
        )

    async def dispose(self) -> None:
        """Ask it to end its work in order. It is stopped whatever it answers, so errors are ours
        to ignore: a server that can't be asked has no order to end in."""
        try:
            await self._ask("POST", "/global/dispose", _DISPOSE_TIMEOUT_S)
        except NotReady:
            return

    async def _ask(self, method: str, path: str, timeout_s: float) -> httpx.Response:
        url = f"http://{self.address.host}:{self.address.port}{path}"
        auth = (USERNAME, self.password)
        try:
            return await self.client.request(method, url, auth=auth, timeout=timeout_s)
        except httpx.TimeoutException as error:
            raise NotReady("It does not answer in time.") from error
        except httpx.HTTPError as error:
            raise NotReady("Nothing answers on its port.") from error


def client() -> Client:
    """For questions to containers: no connection is kept, because addresses are used again."""
    return Client(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)


def password(key: bytes, nonce: str) -> str:
    """The server password of the container that carries `nonce`; derived, so never stored."""
    return hmac.new(key, f"opencode server password {nonce}".encode(), sha256).hexdigest()


def environment(agent: Agent, token: str, server_password: str) -> Environment:
    values = {
        "OPENCODE_SERVER_USERNAME": USERNAME,
        "OPENCODE_SERVER_PASSWORD": server_password,
        "OPENCODE_CONFIG_CONTENT": json.dumps(configuration(agent)),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        KEY_VARIABLES[agent.provider]: token,
    }
    return Environment(values, (token, server_password))


def configuration(agent: Agent) -> dict[str, Any]:
    """OpenCode's configuration for this agent; the key is named, never written."""
    options = {"apiKey": f"{{env:{KEY_VARIABLES[agent.provider]}}}"}
    if agent.base_url is not None:
        options["baseURL"] = agent.base_url
    provider: dict[str, Any] = {"options": options}
    if agent.provider == COMPATIBLE:
        provider |= {"npm": "@ai-sdk/openai-compatible", "name": agent.base_url}
    config: dict[str, Any] = {
        "share": "disabled",
        "autoupdate": False,
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


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _words(problem: dict[str, Any], status: int) -> str:
    """The error's name and the file it is about. Its message would quote the file itself."""
    name = problem.get("name", f"it answers {status}")
    details = problem.get("data")
    path = details.get("path") if isinstance(details, dict) else None
    return f"{name} in {path}" if path else str(name)
