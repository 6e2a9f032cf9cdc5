"""What is told to Prometheus."""

from orchestrator.containers import State, Timings
from orchestrator.metrics import Metrics

PREFIX = "opencode_gateway_container"


def lines(metrics: Metrics, *states: State, waiting: int = 0, spares: int = 0) -> list[str]:
    return metrics.rendered(states, waiting, spares).splitlines()


def test_every_state_is_told_also_where_nothing_is_in_it() -> None:
    told = lines(Metrics(), State.READY, State.READY, State.FROZEN, waiting=3, spares=1)

    assert f'{PREFIX}s{{state="ready"}} 2' in told
    assert f'{PREFIX}s{{state="frozen"}} 1' in told
    assert f'{PREFIX}s{{state="failed"}} 0' in told
    assert f"{PREFIX}_spares 1" in told
    assert f"{PREFIX}_starts_waiting 3" in told


def test_a_starts_phases_are_told_by_kind_and_one_it_did_not_have_is_not() -> None:
    metrics = Metrics()
    metrics.started("cold", Timings(0.2, 0.1, 2.4, 2.7))
    metrics.started("claimed", Timings(None, 0.03, 0.02, 0.05))
    told = lines(metrics)

    assert f'{PREFIX}_start_seconds_bucket{{kind="cold",phase="boot",le="1.0"}} 0' in told
    assert f'{PREFIX}_start_seconds_bucket{{kind="cold",phase="boot",le="2.5"}} 1' in told
    assert f'{PREFIX}_start_seconds_bucket{{kind="cold",phase="boot",le="+Inf"}} 1' in told
    assert f'{PREFIX}_start_seconds_sum{{kind="cold",phase="ready"}} 2.700' in told
    assert f'{PREFIX}_start_seconds_count{{kind="claimed",phase="create"}} 1' in told
    assert not [line for line in told if 'kind="claimed",phase="queue"' in line]


def test_buckets_are_cumulative() -> None:
    metrics = Metrics()
    for seconds in (0.01, 0.3, 70.0):
        metrics.started("cold", Timings(boot_s=seconds))
    counts = [line.rpartition(" ")[2] for line in lines(metrics) if "_bucket" in line]

    assert counts == ["1", "1", "1", "2", "2", "2", "2", "2", "2", "2", "3"]


def test_what_happened_is_counted_by_its_reason() -> None:
    metrics = Metrics()
    metrics.happened("frozen")
    metrics.happened("start_failed", "start_timeout")
    metrics.happened("start_failed", "start_timeout")
    told = lines(metrics)

    assert f'{PREFIX}_events_total{{event="frozen",why=""}} 1' in told
    assert f'{PREFIX}_events_total{{event="start_failed",why="start_timeout"}} 2' in told


def test_each_family_says_its_type_once_and_the_text_ends_with_a_line() -> None:
    text = Metrics().rendered([], 0, 0)

    types = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types)) == 5
    assert text.endswith("\n")
