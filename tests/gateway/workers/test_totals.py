"""Several workers' counts folded into one, by their shapes alone."""

import json

from gateway.metrics import Metrics, rendered
from gateway.workers.totals import Snapshot, folded


def counted(times: int, *, route: str = "session") -> Snapshot:
    metrics = Metrics()
    for _ in range(times):
        metrics.request(route, 200, 0.003)
        metrics.fallback("container_failed")
    told: Snapshot = json.loads(json.dumps(metrics.snapshot()))
    return told


def test_folded_counts_are_rendered_as_the_counts_themselves_are() -> None:
    apart = [counted(3), counted(4), counted(2, route="shared")]
    for snapshot in apart:
        snapshot["orchestrator_connected"] = True

    assert rendered([folded(apart)]) == rendered(apart)


def test_who_has_ended_makes_nobody_disconnected() -> None:
    gone = folded([counted(1)])
    now = {**counted(1), "orchestrator_connected": True}

    assert b"orchestrator_connected 1.0" in rendered([gone, now])


def test_what_only_one_of_them_counted_is_kept() -> None:
    newer = {"retries": [["late", 2]], "waits": {"session": [[1, 0], 0.5]}, "restarts": 3}

    assert folded([{}, newer]) == newer
    assert folded([newer, newer]) == {
        "retries": [["late", 4]],
        "waits": {"session": [[2, 0], 1.0]},
        "restarts": 6,
    }


def test_nothing_folds_to_nothing() -> None:
    assert folded([]) == {}
