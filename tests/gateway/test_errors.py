"""Errors keep their code, sentence and data on the way out and on the way back in."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import STATUS, GatewayError, from_response


def test_json_has_the_shape_of_opencodes_own_errors() -> None:
    error = GatewayError("agent_required", "Bring an agent first.", create_url="/gateway/agents")

    assert error.status == 409
    assert error.to_json() == {
        "name": "AgentRequired",
        "data": {
            "message": "Bring an agent first.",
            "code": "agent_required",
            "create_url": "/gateway/agents",
        },
    }


def test_a_code_outside_the_table_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        GatewayError("no_such_code", "Never seen.")


@pytest.mark.parametrize(("wait", "header"), [(0, "1"), (0.2, "1"), (4.1, "5"), (30, "30")])
def test_a_time_to_wait_becomes_retry_after(wait: float, header: str) -> None:
    error = GatewayError("container_failed", "It did not start.", retry_after_s=wait)

    assert error.headers == {"Retry-After": header}


@pytest.mark.parametrize("wait", [None, "soon", float("inf"), float("nan")])
def test_a_time_to_wait_that_is_no_number_of_seconds_is_left_out(wait: object) -> None:
    assert GatewayError("container_failed", "It did not start.", retry_after_s=wait).headers == {}


def test_only_a_missing_login_asks_for_basic() -> None:
    assert "WWW-Authenticate" in GatewayError("authentication_required", "Log in.").headers
    assert "WWW-Authenticate" not in GatewayError("invalid_credentials", "Wrong.").headers


@pytest.mark.parametrize("code", sorted(STATUS))
def test_every_error_survives_the_way_through_http(code: str) -> None:
    sent = GatewayError(code, "A sentence.", why="because", retry_after_s=2.5)

    read = from_response(sent.status, json.dumps(sent.to_json()).encode())

    assert (read.code, read.status, read.to_json()) == (code, sent.status, sent.to_json())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b'{"data":null}',
        b'{"data":{"code":"from_the_future","message":"x"}}',
        b'{"data":{"code":"container_failed","message":7}}',
        b"[" * 60_000,
        b"\xff\xfe",
    ],
)
def test_an_answer_without_a_known_code_names_its_status(body: bytes) -> None:
    error = from_response(418, body)

    assert error.code == "orchestrator_failed"
    assert "418" in error.message


@given(st.dictionaries(st.sampled_from(["self", "code", "message", "why", "a b"]), st.text()))
def test_a_peer_cannot_break_the_reading_by_its_choice_of_keys(data: dict[str, str]) -> None:
    body = {"data": {**data, "code": "container_failed", "message": "It failed."}}

    assert from_response(502, json.dumps(body).encode()).code == "container_failed"


def test_wrong_service_secret_is_told_for_what_it_is() -> None:
    body = b'{"name":"Unauthorized","data":{"code":"unauthorized","message":"No."}}'

    read = from_response(401, body)

    assert read.code == "orchestrator_failed"
    assert "service secret" in read.message
