"""Rows that only the store's callers need; User, Login and Session are the roster's own.

Plain values: they know no SQL, and an agent's token is here only as it is kept, encrypted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.roster import User


@dataclass(frozen=True, slots=True)
class Account:
    """A user with what proves them; without a password only a one-time link lets them in."""

    user: User
    password_hash: str | None = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Agent:
    """`limits` may hold memory_bytes, cpus and pids; what it lacks, the orchestrator decides."""

    id: str
    user_id: str
    name: str
    provider: str
    model: str | None
    base_url: str | None
    image: str | None
    limits: Mapping[str, float]
    sealed_token: bytes = field(repr=False)
    token_hint: str
    created_at: datetime
