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
# No shorter than what the gateway accepts: an agent that it keeps must be able to start.
_LONGEST = {"token": 8192, "base_url": 2000, "image": 300, "model": 200}
_LONGEST_NAME = 100
_DAY_S = 86400
_LEAST = {"memory_bytes": 256 << 20, "cpus": 0.1, "pids": 64}


@dataclass(frozen=True, slots=True)
class Allowed:
    """Which images an order may name, and the most that any container may use."""

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
    user_id = _text(fields, "user_id")
    if not is_id(user_id):
        raise _invalid("user_id must be 32 lower-case hexadecimal digits.")
    force = fields.get("force", False)
    if not isinstance(force, bool):
        raise _invalid("force must be true or false.")
    agent = _agent(_object(fields.get("agent"), "agent"))
    token = _token(fields)
    limits = _limits(fields.get("limits"), allowed.limits)
    image = _image(agent.image, allowed)
    return Order(session_id, user_id, agent, token, image, limits), force


def read_used(body: Any) -> list[str]:
    """The sessions that are being used, as the gateway reports them."""
    sessions = _object(body, "The body").get("sessions")
    if not isinstance(sessions, list) or not all(isinstance(each, str) for each in sessions):
        raise _invalid("sessions must be a list of ids.")
    return [each for each in sessions if is_id(each)]


def read_keep(body: Any) -> float:
    """For how many seconds a session is to be kept awake; nought ends it."""
    for_s = _object(body, "The body").get("for_s")
    if isinstance(for_s, bool) or not isinstance(for_s, int | float) or not 0 <= for_s <= _DAY_S:
        raise _invalid(f"for_s must be a number of seconds from 0 to {_DAY_S}.")
    return float(for_s)


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


def _limits(value: Any, most: Limits) -> Limits:
    fields = {} if value is None else _object(value, "limits")
    return Limits(
        memory_bytes=int(_amount(fields, "memory_bytes", most.memory_bytes, whole=True)),
        cpus=_amount(fields, "cpus", most.cpus),
        pids=int(_amount(fields, "pids", most.pids, whole=True)),
    )


def _amount(fields: Mapping[str, Any], name: str, most: float, *, whole: bool = False) -> float:
    """What is wished, as far as the operator allows it; without a wish, all that is allowed."""
    value = fields.get(name)
    if value is None:
        return most
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds) or not value >= _LEAST[name]:
        kind = "a whole number" if whole else "a number"
        raise _invalid(f"limits.{name} must be {kind} of at least {_LEAST[name]}.")
    return min(value, most)


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _invalid(f"{name} must be a JSON object.")
    return value


def _optional(fields: Mapping[str, Any], name: str) -> str | None:
    return None if fields.get(name) is None else _text(fields, name)


def _text(fields: Mapping[str, Any], name: str) -> str:
    """A value that ends up in an environment: one line, no control characters."""
    value = fields.get(name)
    most = _LONGEST.get(name, _LONGEST_NAME)
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise _invalid(f"{name} must be one line of 1 to {most} printable characters.")
    return value


def _token(fields: Mapping[str, Any]) -> str:
    """It travels in header fields, which carry ASCII only."""
    token = _text(fields, "token")
    if not token.isascii() or token != token.strip():
        raise _invalid("token must be plain ASCII without spaces around it.")
    return token


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    bare = not (parts.query or parts.fragment or "@" in parts.netloc)
    return good and bare and " " not in text


def _invalid(message: str) -> OrchestratorError:
    return OrchestratorError("invalid_request", message)
