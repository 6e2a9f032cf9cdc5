"""What an observation calls for, and the way up from it."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.containers import Observation, Record, State
from orchestrator.plan import Action, Way, plan, way_to_start

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SEEN = Observation("s", "c1", "nonce", "made", True, "boot-1", "agent_s")
FROZEN = replace(SEEN, frozen=True)
ENDED = replace(SEEN, running=False, end="It ended by itself with exit code 1.")
RESTARTED = replace(SEEN, boot="boot-2")
REPLACED = replace(SEEN, container_id="c2")
READY = Record("s", 3, State.READY, NOW, "why", "image", container_id="c1", live=SEEN)


@pytest.mark.parametrize(
    ("state", "seen", "action"),
    [
        (State.NEW, None, Action.NOTHING),
        (State.STARTING, None, Action.MARK_GONE),
        (State.STARTING, ENDED, Action.MARK_GONE),
        (State.STARTING, SEEN, Action.ADOPT),
        (State.STARTING, FROZEN, Action.ADOPT),
        (State.READY, SEEN, Action.NOTHING),
        (State.READY, FROZEN, Action.MARK_FROZEN),
        (State.READY, None, Action.MARK_GONE),
        (State.READY, ENDED, Action.MARK_GONE),
        (State.READY, RESTARTED, Action.MARK_GONE),
        (State.READY, REPLACED, Action.MARK_GONE),
        (State.FROZEN, FROZEN, Action.NOTHING),
        (State.FROZEN, SEEN, Action.MARK_THAWED),
        (State.FROZEN, None, Action.MARK_GONE),
        (State.FROZEN, ENDED, Action.MARK_GONE),
        (State.FROZEN, RESTARTED, Action.MARK_GONE),
        (State.FROZEN, replace(RESTARTED, frozen=True), Action.MARK_GONE),
        (State.STOPPING, SEEN, Action.FINISH_STOP),
        (State.STOPPING, FROZEN, Action.FINISH_STOP),
        (State.STOPPING, None, Action.FINISH_STOP),
        (State.NEW, SEEN, Action.STOP),
        (State.STOPPED, SEEN, Action.STOP),
        (State.STOPPED, FROZEN, Action.STOP),
        (State.FAILED, SEEN, Action.STOP),
        (State.STOPPED, ENDED, Action.NOTHING),
        (State.STOPPED, None, Action.NOTHING),
        (State.FAILED, ENDED, Action.NOTHING),
        (State.FAILED, None, Action.NOTHING),
        (State.REMOVING, SEEN, Action.FINISH_REMOVAL),
        (State.REMOVING, None, Action.FINISH_REMOVAL),
    ],
)
def test_what_an_observation_calls_for(
    state: State, seen: Observation | None, action: Action
) -> None:
    assert plan(replace(READY, state=state), seen) is action


@pytest.mark.parametrize("seen", [None, ENDED, SEEN, FROZEN])
def test_a_half_done_claim_is_cleared_away_whatever_there_is(seen: Observation | None) -> None:
    claiming = replace(READY, state=State.STARTING, claimed="spare_1")

    assert plan(claiming, seen) is Action.CLEAR_CLAIM


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        (FROZEN, Action.RECOGNISE),
        (SEEN, Action.MARK_THAWED),
        (None, Action.MARK_GONE),
        (replace(FROZEN, container_id="c2"), Action.MARK_GONE),
    ],
)
def test_what_was_frozen_by_an_earlier_run_is_recognised(
    seen: Observation | None, action: Action
) -> None:
    assert plan(replace(READY, state=State.FROZEN, live=None), seen) is action


@pytest.mark.parametrize(
    ("seen", "fingerprint", "volume", "way"),
    [
        (None, "made", "agent_s", Way.CREATE),
        (ENDED, "made", "agent_s", Way.START),
        (SEEN, "made", "agent_s", Way.RESTART),
        (FROZEN, "made", "agent_s", Way.RESTART),
        (ENDED, "made otherwise", "agent_s", Way.REPLACE),
        (SEEN, "made otherwise", "agent_s", Way.REPLACE),
        (ENDED, "made", "agent_spare_1", Way.REPLACE),
    ],
)
def test_the_way_to_a_running_container(
    seen: Observation | None, fingerprint: str, volume: str, way: Way
) -> None:
    assert way_to_start(seen, fingerprint, volume) is way
