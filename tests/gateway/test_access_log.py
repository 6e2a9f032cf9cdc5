"""The line that each request leaves, and what it never says."""

import logging
from typing import Any

import pytest

from gateway.access_log import AccessLog
from gateway.metrics import Metrics
from gateway.wire.door import Client, Outcome
from gateway.wire.request_head import Blocks, HeadLimits, parse_request

MARK = b"X-OpenCode-Gateway-Route: shared; reason=container_failed\r\n"


def outcome(target: bytes = b"/a?auth_token=canary", **changes: Any) -> Outcome:
    raw = b"GET %b HTTP/1.1\r\nHost: a\r\nCookie: canary\r\n\r\n" % target
    made = Outcome(parse_request(raw, HeadLimits(), Blocks()), Client("10.1.2.3", 5), started=1.0)
    made.ended, made.first_byte, made.status = 1.25, 1.125, 200
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def written(ended: Outcome, caplog: pytest.LogCaptureFixture) -> str:
    caplog.set_level(logging.INFO, "gateway.access")
    log = AccessLog(Metrics())
    log.finished(ended)
    log.flush()
    return caplog.messages[-1].partition(" INFO gateway.access: ")[2]


def test_line_says_who_moved_what_where(caplog: pytest.LogCaptureFixture) -> None:
    ended = outcome(mark=MARK, upstream="shared", bytes_in=3, bytes_out=4, trouble="client gone")

    assert written(ended, caplog) == (
        "10.1.2.3 GET /a status=200 route='shared; reason=container_failed' upstream=shared"
        " in=3 out=4 ms=250.0 trouble='client gone'"
    )


def test_line_keeps_credentials_out(caplog: pytest.LogCaptureFixture) -> None:
    assert "canary" not in written(outcome(), caplog)


@pytest.mark.parametrize(
    ("target", "shown"),
    [(b"/\xe2\x80\xae\xff", r"/\xe2\x80\xae\xff"), (b"/%0d%0aforged", "/%0d%0aforged")],
)
def test_line_cannot_be_forged(target: bytes, shown: str, caplog: pytest.LogCaptureFixture) -> None:
    assert f"GET {shown} status=" in written(outcome(target), caplog)


def test_unreadable_head_has_a_line_too(caplog: pytest.LogCaptureFixture) -> None:
    ended = Outcome(None, Client("10.1.2.3", 5), started=1.0, status=400, ended=1.0)

    assert written(ended, caplog).startswith("10.1.2.3 - status=400 route='-' upstream=- ")


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({"mark": MARK}, 'route="shared",status="2xx"'),
        ({"mark": b"X-OpenCode-Gateway-Route: session\r\n"}, 'route="session",status="2xx"'),
        ({"upstream": "gateway", "status": 404}, 'route="gateway",status="4xx"'),
        ({"status": 401}, 'route="none",status="4xx"'),
        ({"status": 0, "first_byte": None}, 'route="none",status="aborted"'),
    ],
)
def test_request_is_counted_by_route_and_status(changes: dict[str, Any], counted: str) -> None:
    metrics = Metrics()
    AccessLog(metrics).finished(outcome(**changes))

    assert f"opencode_gateway_requests_total{{{counted}}} 1.0" in metrics.render().decode()


def test_bytes_and_times_are_counted() -> None:
    metrics = Metrics()
    AccessLog(metrics).finished(outcome(mark=MARK, bytes_in=3, bytes_out=4))
    text = metrics.render().decode()

    assert 'opencode_gateway_body_bytes_total{direction="in"} 3.0' in text
    assert 'opencode_gateway_body_bytes_total{direction="out"} 4.0' in text
    assert 'opencode_gateway_first_byte_seconds_sum{route="shared"} 0.125' in text


def test_many_requests_in_a_row_leave_a_line_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.access")
    metrics = Metrics()
    log = AccessLog(metrics)
    for _ in range(1000):
        log.finished(outcome())
    written_before = sum(message.count("\n") + 1 for message in caplog.messages)
    log.flush()

    assert 0 < written_before < 1000
    assert sum(message.count("\n") + 1 for message in caplog.messages) == 1000
    assert b'status="2xx"} 1000.0' in metrics.render()
