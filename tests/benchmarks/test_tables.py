"""How figures become text."""

from benchmarks import tables
from benchmarks.documents import filled


def test_a_row_that_was_not_measured_is_told_by_a_dash() -> None:
    shown = tables.main({"upload_mb_per_s": {"gateway": 900, "nginx": 450}})

    assert shown.splitlines()[-1] == "| upload, MB/s | 900 | 450 | - | - | - | - | 2.00 |"


def test_a_measurement_that_was_not_made_has_no_line() -> None:
    assert "download" not in tables.main({"upload_mb_per_s": {"gateway": 900}})


def test_each_percentile_has_a_line_of_its_own() -> None:
    latency = {"gateway": {"p50": 80.5, "p99": 1200}, "nginx": {"p50": 40, "p99": 1000}}

    shown = tables.main({"latency_us": latency})

    assert "| … p50, µs | 80.5 | 40 |" in shown
    assert "| … p99, µs | 1,200 | 1,000 |" in shown


def test_a_block_of_a_document_is_filled_and_the_rest_is_kept() -> None:
    text = "Before\n<!-- figures: workers -->\nold\n<!-- end of figures -->\nafter\n"

    told = filled(text, {"workers_requests_per_second": {"1": 1000, "2": 1800}})

    assert told.startswith("Before\n<!-- figures: workers -->\n| workers |")
    assert "| 2 | 1,800 | 1.80 |" in told
    assert told.endswith("\n<!-- end of figures -->\nafter\n")
    assert "old" not in told


def test_a_bar_that_is_missed_is_told() -> None:
    shown = tables.bars({"upload_mb_per_s": {"gateway": 90, "nginx": 100, "haproxy": 100}})

    assert "| upload ÷ nginx | at least 1 | 0.90 | **no** |" in shown
    assert "| upload ÷ haproxy | at least 0.5 | 0.90 | yes |" in shown
    assert "| two workers ÷ one | at least 1.7 | - | not measured |" in shown


def test_what_a_machine_could_not_measure_is_told() -> None:
    assert tables.block("parts", {}).startswith("Not in this run")
