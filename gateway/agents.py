"""What an agent may be, and how one is made, changed and shown, for the API and the commands.

A wish (JSON) becomes columns here, with its token sealed on the way. It knows no HTTP and no page.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from gateway import fields
from gateway.accounts import Accounts, is_id, new_id, token_hint
from gateway.errors import GatewayError
from gateway.store import Agent, Store
from gateway.times import rfc3339

PROVIDERS = ("anthropic", "openai", "openrouter", "google", "openai-compatible")
LONGEST_TOKEN = 8192
MIB = 2**20

_REQUIRED = ("name", "provider", "token")
_KNOWN = (*_REQUIRED, "model", "base_url", "image", "limits")
_LIMITS: Mapping[str, Callable[[str, object], float]] = {
    "memory_bytes": lambda field, value: fields.whole_number(field, value, 256 * MIB, 2**20 * MIB),
    "cpus": lambda field, value: fields.number(field, value, 0.1, 256),
    "pids": lambda field, value: fields.whole_number(field, value, 64, 4_194_304),
}


async def create_agent(
    store: Store, accounts: Accounts, images: Collection[str], user_id: str, wish: Mapping[str, Any]
) -> Agent:
    """Make an agent of `wish`; raises GatewayError, and then nothing is made."""
    for name in _REQUIRED:
        fields.need(wish, name)
    columns = _columns(wish, accounts, images)
    agent = Agent(
        id=new_id(),
        user_id=user_id,
        created_at=datetime.now(tz=UTC),
        **{"model": None, "base_url": None, "image": None, "limits": {}, **columns},
    )
    _check_whole(agent.provider, agent.model, agent.base_url)
    await store.add_agent(agent)
    return agent


async def change_agent(
    store: Store,
    accounts: Accounts,
    images: Collection[str],
    agent: Agent,
    wish: Mapping[str, Any],
) -> Agent:
    """Change what `wish` names and keep the rest; its containers take it up when next started."""
    for name in _REQUIRED:
        if name in wish:
            fields.need(wish, name)
    columns = _columns(wish, accounts, images)
    _check_whole(
        columns.get("provider", agent.provider),
        columns.get("model", agent.model),
        columns.get("base_url", agent.base_url),
    )
    _check_token_stays(agent, columns)
    await store.change_agent(agent.id, columns)
    return await owned_agent(store, agent.user_id, agent.id)


def _check_token_stays(agent: Agent, columns: Mapping[str, Any]) -> None:
    """A token goes where its owner meant it to: whoever sends it elsewhere must know it."""
    moved = any(
        columns.get(name, getattr(agent, name)) != getattr(agent, name)
        for name in ("provider", "base_url")
    )
    if moved and "sealed_token" not in columns:
        raise GatewayError(
            "invalid_request",
            "A changed provider or base_url needs the token as well: give it again.",
            field="token",
        )


async def owned_agent(store: Store, user_id: str, agent_id: str) -> Agent:
    """Return the user's agent; another's is as if it did not exist."""
    agent = await store.agent(agent_id) if is_id(agent_id) else None
    if agent is None or agent.user_id != user_id:
        raise GatewayError("agent_not_found", "You have no agent with this id.")
    return agent


def to_json(agent: Agent) -> dict[str, Any]:
    """An agent as its owner may see it: never with its token."""
    return {
        "id": agent.id,
        "name": agent.name,
        "provider": agent.provider,
        "model": agent.model,
        "base_url": agent.base_url,
        "image": agent.image,
        "limits": dict(agent.limits),
        "token_hint": agent.token_hint,
        "created_at": rfc3339(agent.created_at),
    }


def _columns(
    wish: Mapping[str, Any], accounts: Accounts, images: Collection[str]
) -> dict[str, Any]:
    """Check every field that is there and return the columns it sets."""
    fields.only(wish, _KNOWN)
    columns: dict[str, Any] = {}
    for name, value in wish.items():
        if name == "token":
            token = fields.secret(name, value, LONGEST_TOKEN)
            columns |= {"sealed_token": accounts.seal(token), "token_hint": token_hint(token)}
        elif name == "limits":
            columns[name] = _limits({} if value is None else value)
        elif value is None:
            columns[name] = None
        else:
            columns[name] = _text(name, value, images)
    return columns


def _text(name: str, value: object, images: Collection[str]) -> str:
    match name:
        case "base_url":
            return fields.address(name, value)
        case "provider":
            return _provider(fields.line(name, value, 100))
        case "image":
            return _image(fields.line(name, value, 300), images)
        case "model":
            return fields.line(name, value, 200)
    return fields.line(name, value, 100)


def _provider(name: str) -> str:
    if name not in PROVIDERS:
        raise GatewayError(
            "unknown_provider",
            f"There is no provider {name!r}; choose one of {', '.join(PROVIDERS)}.",
            field="provider",
            known=list(PROVIDERS),
        )
    return name


def _image(name: str, images: Collection[str]) -> str:
    if name not in images:
        raise GatewayError(
            "image_not_allowed",
            f"The image {name!r} is not on this gateway's list: ask its administrator to add it.",
            field="image",
            allowed=list(images),
        )
    return name


def _limits(value: object) -> dict[str, float]:
    if not isinstance(value, dict):
        raise fields.refuse("limits", "limits must be an object.")
    fields.only(value, tuple(_LIMITS))
    return {
        name: _LIMITS[name](f"limits.{name}", limit)
        for name, limit in value.items()
        if limit is not None
    }


def _check_whole(provider: str, model: str | None, base_url: str | None) -> None:
    if provider == "openai-compatible":
        for name, value in (("base_url", base_url), ("model", model)):
            if value is None:
                raise fields.refuse(name, f"The provider openai-compatible needs {name}.")
