"""How figures of containers' lives become text, and what is to be reached of them."""

from typing import Any

from benchmarks import life_tables, tables

_TIMES = {"p50": 100.0, "p99": 140.0, "n": 15}
_SESSION: dict[str, Any] = {
    "session": {
        "first_byte_new_ms": {**_TIMES, "p50": 151.0},
        "first_byte_frozen_ms": {**_TIMES, "p50": 60.0},
        "bare_wake_ms": _TIMES,
        "first_byte_new_without_pool_ms": {"p50": 3300.0, "p99": 4000.0, "n": 10},
        "bare_start_ms": {"p50": 3000.0, "p99": 3100.0, "n": 10},
        "first_byte_stopped_ms": {"p50": 3301.0, "p99": 4000.0, "n": 10},
        "bare_start_stopped_ms": {"p50": 3000.0, "p99": 3100.0, "n": 10},
    }
}


def test_a_first_byte_is_shown_beside_the_bare_start_of_its_kind() -> None:
    shown = life_tables.session(_SESSION)

    assert "| new, without a pool | 3,300 | 4,000 | 10 | 3,000 | 1.10 |" in shown


def test_there_is_no_bare_start_beside_the_pool() -> None:
    assert "| new, from the pool | 151 | 140 | 15 | - | - |" in life_tables.session(_SESSION)


def test_a_bar_of_a_wait_is_in_milliseconds_and_of_a_start_beside_the_bare_one() -> None:
    shown = tables.bars(_SESSION)

    assert "| first byte of a new session ÷ 1 ms | at most 150 | 151.00 | **no** |" in shown
    assert "| … of a frozen one ÷ 1 ms | at most 60 | 60.00 | yes |" in shown
    assert "| … of a new one without a pool ÷ bare start | at most 1.1 | 1.10 | yes |" in shown
    assert "| … of a stopped one ÷ bare start | at most 1.1 | 1.10 | **no** |" in shown


def test_a_part_that_a_start_does_not_have_is_told_by_a_dash() -> None:
    shown = life_tables.starts({"session_parts_ms": {"frozen": {"whole": 40, "answered": 5}}})

    assert shown.endswith("| frozen | 40 | - | - | - | - | - | 5 |")


def test_sessions_are_counted_by_what_their_containers_hold() -> None:
    held = {"container_mib": 256.0, "machine_mib": 200.0, "busy": 0.0123}

    shown = life_tables.density({"density": {"ready": held}})

    assert shown.endswith("| ready | 256 | 200 | 4 | 1.2% | - |")


def test_a_stopped_session_holds_no_memory_that_could_be_divided() -> None:
    held = {"container_mib": 0.0, "machine_mib": 2.0, "disk_mib": 0.62}

    shown = life_tables.density({"density": {"stopped": held}})

    assert shown.endswith("| stopped | 0 | 2 | - | - | 0.6 |")
