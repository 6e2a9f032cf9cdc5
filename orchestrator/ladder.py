"""What comes next for a container that nobody uses, and when: freeze, then stop, then remove.

Pure. It is told how long a container has been idle, frozen or stopped, in seconds of a clock that
nobody sets, and knows neither what idleness is nor how a step is carried out.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from orchestrator.containers import State


class Rung(StrEnum):
    FREEZE = "freeze"
    STOP = "stop"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Policy:
    """Seconds of rest until each step; nought means that it is never taken.

    `ask_wait_s` is how long a question to a person counts as work.
    """

    freeze_after_s: float = 300
    stop_after_s: float = 7200
    remove_after_s: float = 0
    ask_wait_s: float = 14400

    def without_frost(self) -> "Policy":
        """The same for what can't be frozen: it rests awake, and is stopped as late as ever."""
        stop_after_s = self.stop_after_s and self.freeze_after_s + self.stop_after_s
        return replace(self, freeze_after_s=0, stop_after_s=stop_after_s)


@dataclass(frozen=True, slots=True)
class Step:
    """The next step, and in how many seconds it is due; nought means now."""

    rung: Rung
    in_s: float


def next_step(
    state: State, rest_s: float | None, policy: Policy, *, awake_s: float = 0
) -> Step | None:
    """Decide for a container that has rested in its state for `rest_s`; None if it does not rest.

    Rest is the time since anything happened while it is ready, and the time in the state
    otherwise. `awake_s` is how much longer somebody asked for it to be kept awake.
    """
    if rest_s is None:
        return None
    rung, after_s = _rung(state, policy)
    if rung is None or not after_s:
        return None
    return Step(rung, max(0.0, after_s - rest_s, awake_s))


def _rung(state: State, policy: Policy) -> tuple[Rung | None, float]:
    match state:
        case State.READY if policy.freeze_after_s:
            return Rung.FREEZE, policy.freeze_after_s
        case State.READY | State.FROZEN:
            return Rung.STOP, policy.stop_after_s
        case State.STOPPED:
            return Rung.REMOVE, policy.remove_after_s
        case _:
            return None, 0.0
