"""Freeze, then stop, then remove: what is due when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.containers import State
from orchestrator.ladder import Policy, Rung, Step, next_step

POLICY = Policy(freeze_after_s=300, stop_after_s=7200, remove_after_s=86400)
SECONDS = st.floats(0, 1e9)
POLICIES = st.builds(Policy, SECONDS, SECONDS, SECONDS, SECONDS)


@pytest.mark.parametrize(
    ("state", "rest_s", "step"),
    [
        (State.READY, 0, Step(Rung.FREEZE, 300)),
        (State.READY, 299.5, Step(Rung.FREEZE, 0.5)),
        (State.READY, 300, Step(Rung.FREEZE, 0)),
        (State.READY, 9999, Step(Rung.FREEZE, 0)),
        (State.READY, None, None),
        (State.FROZEN, 100, Step(Rung.STOP, 7100)),
        (State.FROZEN, 7200, Step(Rung.STOP, 0)),
        (State.STOPPED, 86000, Step(Rung.REMOVE, 400)),
        (State.STOPPED, 86400, Step(Rung.REMOVE, 0)),
        (State.NEW, 9999, None),
        (State.STARTING, 9999, None),
        (State.STOPPING, 9999, None),
        (State.FAILED, 9999, None),
        (State.REMOVING, 9999, None),
    ],
)
def test_each_state_has_its_step(state: State, rest_s: float | None, step: Step | None) -> None:
    assert next_step(state, rest_s, POLICY) == step


def test_what_is_never_frozen_is_stopped_after_as_long_a_rest() -> None:
    policy = Policy(freeze_after_s=0, stop_after_s=7200)

    assert next_step(State.READY, 7000, policy) == Step(Rung.STOP, 200)


@pytest.mark.parametrize("state", State)
def test_nought_turns_every_step_off(state: State) -> None:
    assert next_step(state, 1e9, Policy(0, 0, 0)) is None


@pytest.mark.parametrize("state", [State.READY, State.FROZEN, State.STOPPED])
def test_what_is_kept_awake_waits_at_least_so_long(state: State) -> None:
    step = next_step(state, 1e9, POLICY, awake_s=50)

    assert step is not None
    assert step.in_s == 50


@given(st.sampled_from(State), SECONDS, POLICIES, SECONDS)
def test_nothing_is_due_before_its_time(
    state: State, rest_s: float, policy: Policy, awake_s: float
) -> None:
    step = next_step(state, rest_s, policy, awake_s=awake_s)
    after = {
        Rung.FREEZE: policy.freeze_after_s,
        Rung.STOP: policy.stop_after_s,
        Rung.REMOVE: policy.remove_after_s,
    }
    if step is not None and step.in_s == 0:
        assert rest_s >= after[step.rung] > 0
        assert awake_s == 0


@given(st.sampled_from(State), SECONDS, SECONDS, POLICIES)
def test_to_rest_longer_brings_no_step_further_away(
    state: State, rest_s: float, longer_s: float, policy: Policy
) -> None:
    now, later = (next_step(state, each, policy) for each in (rest_s, rest_s + longer_s))
    if now is not None and later is not None:
        assert (later.rung, later.in_s <= now.in_s) == (now.rung, True)
