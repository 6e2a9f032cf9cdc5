"""What the operator decided of all containers together, and of each one's life.

Plain values with their meaning; nought turns a rule off. Nothing here knows where they come from.
"""

from dataclasses import dataclass

from orchestrator.admission import Allowance
from orchestrator.containers import Limits
from orchestrator.ladder import Policy


@dataclass(frozen=True, slots=True)
class Rules:
    """Of one container's life: when it rests, how long its end may take, how large it may grow."""

    policy: Policy
    drain_s: float
    recycle_above_bytes: int


@dataclass(frozen=True, slots=True)
class Wish:
    """How many spares there shall be, and what they are made of."""

    size: int
    image: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class Terms:
    """Of all containers together."""

    rules: Rules
    allowance: Allowance
    spares: Wish
    starts_at_once: int
