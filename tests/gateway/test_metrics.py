"""What Prometheus is told."""

from gateway.metrics import Metrics


def test_fallbacks_are_counted_by_reason() -> None:
    metrics = Metrics()
    for reason in ("start_timeout", "start_timeout", "unreachable"):
        metrics.fallback(reason)
    text = metrics.render().decode()

    assert 'opencode_gateway_fallbacks_total{reason="start_timeout"} 2.0' in text
    assert 'opencode_gateway_fallbacks_total{reason="unreachable"} 1.0' in text


def test_two_gateways_in_one_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.fallback("unreachable")

    assert b'reason="unreachable"' not in second.render()


def test_request_without_an_answer_has_no_time() -> None:
    metrics = Metrics()
    metrics.request("session", 0, None)
    metrics.request("session", 200, 0.002)
    text = metrics.render().decode()

    assert 'opencode_gateway_first_byte_seconds_count{route="session"} 1.0' in text
    assert 'status="aborted"} 1.0' in text
