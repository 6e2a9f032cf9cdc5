"""What the gateway may ask for, and the sentence for each thing it may not."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agents import LONGEST_TOKEN
from orchestrator.containers import Limits
from orchestrator.errors import OrchestratorError
from orchestrator.orders import Allowed, read_keep, read_order, read_used

ALLOWED = Allowed(("standard", "other"), Limits(2 << 30, 1.0, 512))
AGENT = {"id": "a" * 32, "provider": "anthropic"}
BODY: dict[str, Any] = {
    "session_id": "5" * 32,
    "user_id": "7" * 32,
    "agent": AGENT,
    "token": "sk",
}


def test_what_is_not_named_is_the_standard() -> None:
    order, force = read_order(BODY, ALLOWED)

    assert (order.image, order.limits, force) == ("standard", ALLOWED.limits, False)
    assert (order.session_id, order.user_id) == ("5" * 32, "7" * 32)
    assert "sk" not in repr(order)


def test_what_is_named_counts() -> None:
    agent = {**AGENT, "image": "other", "model": "m"}
    limits = {"memory_bytes": 1 << 30, "cpus": 0.5, "pids": None}
    order, force = read_order({**BODY, "agent": agent, "limits": limits, "force": True}, ALLOWED)

    assert (order.image, order.agent.model, force) == ("other", "m", True)
    assert order.limits == Limits(1 << 30, 0.5, 512)


def test_an_agent_gets_no_more_than_the_operator_allows() -> None:
    wish = {"memory_bytes": 1 << 40, "cpus": 256, "pids": 4_194_304}
    order, _ = read_order({**BODY, "limits": wish}, ALLOWED)

    assert order.limits == ALLOWED.limits


@pytest.mark.parametrize(
    "longest",
    [
        {"token": "x" * LONGEST_TOKEN},
        {"agent": {**AGENT, "model": "m" * 200}},
        {"agent": {**AGENT, "base_url": "http://h/" + "b" * 1991}},
        {"limits": {"memory_bytes": 256 << 20, "cpus": 0.1, "pids": 64}},
    ],
)
def test_the_utmost_that_the_gateway_accepts_is_accepted_here(longest: dict[str, Any]) -> None:
    read_order({**BODY, **longest}, ALLOWED)


def with_agent(**fields: Any) -> dict[str, Any]:
    return {**BODY, "agent": {**AGENT, **fields}}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ([], "The body"),
        ({**BODY, "session_id": "5" * 31}, "session_id"),
        ({**BODY, "session_id": "../../etc/passwd"}, "session_id"),
        ({**BODY, "session_id": "A" * 32}, "session_id"),
        ({**BODY, "session_id": 5}, "session_id"),
        ({**BODY, "user_id": None}, "user_id"),
        ({**BODY, "user_id": "7" * 31}, "user_id"),
        ({**BODY, "user_id": "somebody"}, "user_id"),
        ({**BODY, "agent": None}, "agent"),
        ({**BODY, "token": "two\nlines"}, "token"),
        ({**BODY, "token": ""}, "token"),
        ({**BODY, "token": "x" * (LONGEST_TOKEN + 1)}, "token"),
        ({**BODY, "token": "schlüssel"}, "token"),
        ({**BODY, "token": " sk"}, "token"),
        ({**BODY, "force": "yes"}, "force"),
        ({**BODY, "limits": []}, "limits"),
        ({**BODY, "limits": {"memory_bytes": 1}}, "limits.memory_bytes"),
        ({**BODY, "limits": {"memory_bytes": 1.5e9}}, "limits.memory_bytes"),
        ({**BODY, "limits": {"cpus": float("nan")}}, "limits.cpus"),
        ({**BODY, "limits": {"cpus": True}}, "limits.cpus"),
        ({**BODY, "limits": {"cpus": 0.09}}, "limits.cpus"),
        ({**BODY, "limits": {"pids": 63}}, "limits.pids"),
        (with_agent(model="m" * 201), "model"),
        (with_agent(provider="nobody"), "agent.provider"),
        (with_agent(base_url="ftp://h"), "agent.base_url"),
        (with_agent(base_url="http://[::"), "agent.base_url"),
        (with_agent(base_url="http://h:0/v1"), "agent.base_url"),
        (with_agent(base_url="http://h:99999/v1"), "agent.base_url"),
        (with_agent(base_url="http://me:secret@h/v1"), "agent.base_url"),
        (with_agent(base_url="http://h/v1?key=1"), "agent.base_url"),
        (with_agent(base_url="http://h/" + "b" * 1992), "base_url"),
        (with_agent(provider="openai-compatible"), "base_url and model"),
    ],
)
def test_what_is_wrong_is_named(body: Any, named: str) -> None:
    with pytest.raises(OrchestratorError) as caught:
        read_order(body, ALLOWED)

    assert (caught.value.code, named in caught.value.message) == ("invalid_request", True)


def test_an_image_that_is_not_listed_is_not_allowed() -> None:
    with pytest.raises(OrchestratorError) as caught:
        read_order(with_agent(image="evil:latest"), ALLOWED)

    assert (caught.value.code, caught.value.status) == ("image_not_allowed", 403)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*BODY, "limits", "force"], JSON)))
def test_no_body_at_all_is_a_mistake_of_ours(body: dict[str, Any]) -> None:
    with pytest.raises(OrchestratorError):
        read_order(body, ALLOWED)


def test_what_is_used_is_told_by_ids_and_strangers_are_passed_over() -> None:
    body = {"sessions": ["5" * 32, "../etc", "", "6" * 32]}

    assert read_used(body) == ["5" * 32, "6" * 32]


@pytest.mark.parametrize("body", [None, [], {}, {"sessions": "5" * 32}, {"sessions": [5]}])
def test_a_report_of_use_that_is_no_list_of_ids_is_refused(body: Any) -> None:
    with pytest.raises(OrchestratorError, match=r"The body|sessions"):
        read_used(body)


@pytest.mark.parametrize("seconds", [0, 0.5, 3600, 86400])
def test_a_session_may_be_kept_awake_for_up_to_a_day(seconds: float) -> None:
    assert read_keep({"for_s": seconds}) == seconds


@pytest.mark.parametrize("seconds", [None, -1, 86401, True, "60", float("nan"), float("inf")])
def test_no_other_time_can_be_kept_awake_for(seconds: Any) -> None:
    with pytest.raises(OrchestratorError, match="for_s must be a number of seconds"):
        read_keep({"for_s": seconds})


@given(JSON)
def test_no_report_at_all_is_a_mistake_of_ours(body: Any) -> None:
    for read in (read_used, read_keep):
        with suppress(OrchestratorError):
            read(body)
