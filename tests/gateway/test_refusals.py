"""The front's own answers: their codes, statuses and headers."""

import json
from typing import Any

import pytest

from gateway import refusals
from gateway.errors import STATUS, GatewayError
from gateway.routing import Place, State
from gateway.wire.door import Answer, Failure


def told(answer: Answer) -> dict[str, Any]:
    return dict(json.loads(answer.body))


@pytest.mark.parametrize("code", refusals._SENTENCES)
def test_every_refusal_has_a_status_a_code_and_a_sentence(code: str) -> None:
    answer = refusals.answer(code)
    error = told(answer)

    assert answer.status == STATUS[code]
    assert error["data"]["code"] == code
    assert error["data"]["message"].endswith(".")
    assert error["name"] == "".join(word.capitalize() for word in code.split("_"))
    assert b"Content-Type: application/json\r\n" in answer.headers
    assert b"Cache-Control: no-store\r\n" in answer.headers


def test_nobody_is_asked_to_log_in_the_way_opencode_asks() -> None:
    answer = refusals.answer("authentication_required")

    assert b'WWW-Authenticate: Basic realm="OpenCode Gateway"\r\n' in answer.headers


@pytest.mark.parametrize(
    ("code", "url"), [("agent_required", "/gateway/agents"), ("session_required", "/gateway/")]
)
def test_what_is_missing_can_be_made_somewhere(code: str, url: str) -> None:
    assert told(refusals.answer(code))["data"]["create_url"] == url


@pytest.mark.parametrize(("wait_s", "retry_after"), [(None, b"5"), (0.0, b"5"), (11.2, b"12")])
def test_absent_container_says_why_and_when_to_come_back(
    wait_s: float | None, retry_after: bytes
) -> None:
    place = Place(State.FAILED, "No image.")

    answer = refusals.about("conversation_unavailable", place, wait_s)

    assert answer.status == 503
    assert b"Retry-After: " + retry_after + b"\r\n" in answer.headers
    assert told(answer)["data"]["why"] == "No image."


def test_refusal_after_a_failed_start_gives_that_starts_own_sentence() -> None:
    cause = GatewayError("container_failed", "It ended with exit code 3.", retry_after_s=8)

    answer = refusals.because("not_on_shared", cause)

    assert told(answer)["data"]["why"] == "It ended with exit code 3."
    assert b"Retry-After: 8\r\n" in answer.headers


def test_refusal_tells_what_the_failure_was_and_the_place_of_who_waits() -> None:
    queued = GatewayError("start_queued", "It is the 3rd of 7.", place=3, retry_after_s=4)
    full = Place(State.FAILED, "No memory.", problem="no_room")

    waiting = refusals.because("container_unavailable", queued)
    failed = refusals.about("container_unavailable", full, 9)

    assert (waiting.status, told(waiting)["data"]["reason"]) == (503, "start_queued")
    assert told(waiting)["data"]["place"] == 3
    assert told(failed)["data"]["reason"] == "no_room"


def test_a_limit_of_ones_own_is_429_with_a_time_to_come_back() -> None:
    cause = GatewayError("too_many_containers", "You have 3 already.", retry_after_s=30)

    answer = refusals.of_error(cause)

    assert answer.status == 429
    assert b"Retry-After: 30\r\n" in answer.headers


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("unreachable", 502, "upstream_failed"),
        ("closed", 502, "upstream_failed"),
        ("invalid", 502, "upstream_failed"),
        ("timeout", 504, "upstream_timeout"),
    ],
)
def test_silent_upstream_is_told_without_its_address(kind: Any, status: int, code: str) -> None:
    answer = refusals.no_answer(Failure(kind, "connect to 10.0.0.2 failed"), b"X-Mark: 1\r\n")

    assert (answer.status, told(answer)["data"]["code"]) == (status, code)
    assert b"10.0.0.2" not in answer.body
    assert answer.headers.endswith(b"X-Mark: 1\r\n")


@pytest.mark.parametrize("status", [400, 408, 414, 431, 500, 501, 505])
def test_wires_own_refusals_keep_their_status(status: int) -> None:
    answer = refusals.of_wire(status, "A sentence.")

    assert answer.status == status
    assert told(answer)["data"]["message"].startswith("A sentence.")


@pytest.mark.parametrize(
    ("status", "setting"),
    [
        (413, "MAX_BODY_BYTES"),
        (414, "MAX_TARGET_BYTES"),
        (431, "MAX_HEADERS"),
        (503, "MAX_CONNECTIONS_PER_SESSION"),
    ],
)
def test_a_limit_that_was_met_names_its_setting(status: int, setting: str) -> None:
    assert setting in told(refusals.of_wire(status, "Too much."))["data"]["message"]


def test_redirect_to_the_login_remembers_what_was_wanted() -> None:
    answer = refusals.redirect("/gateway/login", b"/a?b=1&c=%2F\xff")

    assert answer.status == 303
    assert b"Location: /gateway/login?next=%2Fa%3Fb%3D1%26c%3D%252F%FF\r\n" in answer.headers


def test_any_other_redirect_goes_just_there() -> None:
    assert b"Location: /gateway/\r\n" in refusals.redirect("/gateway/", b"/a").headers
