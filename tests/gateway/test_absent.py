"""What was not found is not looked for again, for a while and within bounds."""

from gateway.absent import Absent


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_what_was_noted_is_absent_for_two_minutes() -> None:
    clock = Clock()
    absent = Absent(clock)
    absent.note("login l")

    clock.now = 119.9
    assert "login l" in absent
    clock.now = 120.0
    assert "login l" not in absent


def test_nothing_else_is_absent() -> None:
    absent = Absent()
    absent.note("login l")

    assert "login m" not in absent
    assert "session l" not in absent


def test_what_came_back_is_absent_no_more() -> None:
    absent = Absent()
    absent.note("session s")
    absent.forget("session s")
    absent.forget("session t")

    assert "session s" not in absent


def test_of_too_many_the_oldest_is_forgotten() -> None:
    absent = Absent()
    for number in range(10_001):
        absent.note(f"token {number}")

    assert "token 0" not in absent
    assert "token 1" in absent
    assert "token 10000" in absent
