"""What is kept of the rounds in which sessions were started and woken."""

from collections import defaultdict

from benchmarks.session import KEYS, Measured


def test_of_a_way_in_the_spread_and_the_number_of_its_rounds_are_kept() -> None:
    measured = _measured(90.0, 110.0, 100.0)

    found = measured.results()["session"]["first_byte_new_ms"]

    assert found == {"p50": 100.0, "p99": 109.8, "n": 3}


def test_the_parts_of_a_start_are_medians_of_their_own() -> None:
    measured = _measured(90.0, 110.0, 100.0)

    assert measured.results()["session_parts_ms"]["new"] == {"whole": 100.0, "queued": 10.0}


def _measured(*wholes: float) -> Measured:
    measured = Measured(defaultdict(list))
    for number, whole in enumerate(wholes):
        for way in KEYS:
            measured.add(way, number, {"whole": whole, "queued": whole / 10})
    return measured
