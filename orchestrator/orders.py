"""What the gateway may ask for, checked field by field before anything happens.

Pure: JSON in, an Order out, or an error whose sentence names the field. It repeats the gateway's
own checks where a wrong value would reach a container.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from orchestrator.containers import Agent, Limits, Order
from orchestrator.errors import OrchestratorError
from orchestrator.opencode import COMPATIBLE, KEY_VARIABLES

_ID = re.compile(r"[0-9a-f]{32}")
_LONGEST = 4096
_LEAST = {"memory_bytes": 256 << 20, "cpus": 0.01, "pids": 16}


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an order may name, and what it gets when it names nothing."""

    images: tuple[str, ...]
    limits: Limits


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def read_order(body: Any, allowed: Allowed) -> tuple[Order, bool]:
    """The order, and whether a failed container is to be started before its time."""
    fields = _object(body, "The body")
    session_id = _text(fields, "session_id")
    if not is_id(session_id):
        raise _invalid("session_id must be 32 lower-case hexadecimal digits.")
    force = fields.get("force", False)
    if not isinstance(force, bool):
        raise _invalid("force must be true or false.")
    agent = _agent(_object(fields.get("agent"), "agent"))
    token = _text(fields, "token")
    limits = _limits(fields.get("limits"), allowed.limits)
    return Order(session_id, agent, token, _image(agent.image, allowed), limits), force


def _agent(fields: Mapping[str, Any]) -> Agent:
    agent = Agent(
        id=_text(fields, "id"),
        provider=_text(fields, "provider"),
        model=_optional(fields, "model"),
        base_url=_optional(fields, "base_url"),
        image=_optional(fields, "image"),
    )
    if agent.provider not in KEY_VARIABLES:
        raise _invalid(f"agent.provider must be one of {', '.join(KEY_VARIABLES)}.")
    if agent.base_url is not None and not _is_url(agent.base_url):
        raise _invalid("agent.base_url must be an address like https://example.org/v1.")
    if agent.provider == COMPATIBLE and (agent.base_url is None or agent.model is None):
        raise _invalid(f"An agent of provider {COMPATIBLE} needs base_url and model.")
    return agent


def _image(name: str | None, allowed: Allowed) -> str:
    if name is None:
        return allowed.images[0]
    if name not in allowed.images:
        raise OrchestratorError(
            "image_not_allowed",
            f"The image {name} is not on this machine's list of agent images (AGENT_IMAGES).",
        )
    return name


def _limits(value: Any, default: Limits) -> Limits:
    fields = {} if value is None else _object(value, "limits")
    cpus = _amount(fields, "cpus", default.cpus)
    return Limits(
        memory_bytes=int(_amount(fields, "memory_bytes", default.memory_bytes, whole=True)),
        cpus=cpus,
        pids=int(_amount(fields, "pids", default.pids, whole=True)),
    )


def _amount(fields: Mapping[str, Any], name: str, default: float, *, whole: bool = False) -> float:
    value = fields.get(name)
    if value is None:
        return default
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not value >= _LEAST[name]:
        kind = "a whole number" if whole else "a number"
        raise _invalid(f"limits.{name} must be {kind} of at least {_LEAST[name]}.")
    return value


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{name} must be a JSON object.")
    return value


def _optional(fields: Mapping[str, Any], name: str) -> str | None:
    return None if fields.get(name) is None else _text(fields, name)


def _text(fields: Mapping[str, Any], name: str) -> str:
    """A value that ends up in an environment: one line, no control characters."""
    value = fields.get(name)
    if not isinstance(value, str) or not value or len(value) > _LONGEST or not value.isprintable():
        raise _invalid(f"{name} must be one line of 1 to {_LONGEST} printable characters.")
    return value


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and " " not in text
    except ValueError:
        return False


def _invalid(message: str) -> OrchestratorError:
    return OrchestratorError("invalid_request", message)
