"""What the parent passes on between its workers, and what it keeps of those that have ended."""

from typing import Any

from gateway.workers.switchboard import Message, Switchboard

NEWS: Message = {"news": "LoginEnded", "login_id": "l"}


def counted(requests: int) -> dict[str, Any]:
    return {"requests": [["session", 2, requests]], "orchestrator_connected": False}


class Workers:
    """Three workers that serve, numbered from one; each hears into a list."""

    def __init__(self) -> None:
        self.switchboard = Switchboard()
        self.heard: dict[int, list[Message]] = {}
        for number in (1, 2, 3):
            self.starts(number)
            self.switchboard.heard(number, {"serves": True})

    def starts(self, number: int) -> None:
        self.heard[number] = []
        self.switchboard.enter(number, self.heard[number].append)


def test_news_goes_to_all_the_others() -> None:
    workers = Workers()
    workers.switchboard.heard(1, NEWS)

    assert workers.heard == {1: [], 2: [NEWS], 3: [NEWS]}


def test_news_goes_to_whoever_is_starting_as_well() -> None:
    workers = Workers()
    workers.starts(4)
    workers.switchboard.heard(1, NEWS)

    assert workers.heard[4] == [NEWS]


def test_a_question_goes_to_all_the_others_that_serve() -> None:
    workers = Workers()
    workers.starts(4)
    workers.switchboard.heard(2, {"ask": 7, "snapshot": counted(1)})

    assert workers.heard[2] == [{"asked": 7, "of": 2, "gone": []}]
    assert workers.heard[1] == workers.heard[3] == [{"ask": 7, "to": 2}]
    assert workers.heard[4] == []


def test_an_answer_goes_to_who_asked() -> None:
    workers = Workers()
    workers.switchboard.heard(1, {"answer": 7, "to": 2, "snapshot": counted(5)})

    assert workers.heard == {1: [], 2: [{"answer": 7, "snapshot": counted(5)}], 3: []}


def test_an_answer_to_who_has_ended_goes_nowhere() -> None:
    workers = Workers()
    workers.switchboard.leave(2)
    workers.switchboard.heard(1, {"answer": 7, "to": 2, "snapshot": counted(5)})

    assert workers.heard == {1: [], 2: [], 3: []}


def test_what_a_worker_said_at_its_end_stays_counted() -> None:
    workers = Workers()
    workers.switchboard.heard(1, {"farewell": counted(3)})
    workers.switchboard.leave(1)
    workers.switchboard.heard(3, {"farewell": counted(4)})
    workers.switchboard.leave(3)
    workers.switchboard.heard(2, {"ask": 1, "snapshot": counted(0)})

    (told,) = workers.heard[2]
    assert told["of"] == 0
    assert told["gone"] == [{"requests": [["session", 2, 7]], "orchestrator_connected": True}]


def test_who_has_said_farewell_is_asked_no_more() -> None:
    workers = Workers()
    workers.switchboard.heard(1, {"farewell": counted(3)})
    workers.switchboard.heard(2, {"ask": 1, "snapshot": counted(0)})

    assert workers.heard[1] == []


def test_of_who_died_counts_what_it_last_told() -> None:
    workers = Workers()
    workers.switchboard.heard(1, {"answer": 7, "to": 2, "snapshot": counted(5)})
    workers.switchboard.heard(1, {"ask": 1, "snapshot": counted(6)})
    workers.switchboard.leave(1)
    workers.switchboard.heard(2, {"ask": 8, "snapshot": counted(0)})

    assert workers.heard[2][-1]["gone"][0]["requests"] == [["session", 2, 6]]


def test_what_another_version_says_is_passed_over() -> None:
    workers = Workers()
    workers.switchboard.heard(1, {"sings": True})

    assert workers.heard == {1: [], 2: [], 3: []}
