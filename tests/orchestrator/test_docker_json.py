"""What Docker's answers mean, where one engine alone can't show it."""

from typing import Any

import pytest

from orchestrator.containers import Room, Usage
from orchestrator.engines import docker_json as shapes
from orchestrator.engines.dock import pause, room_beside
from orchestrator.engines.docker_line import Refused

PROCESSOR = {"cpu_usage": {"total_usage": 2_500_000_000}}
RUNS = {"memory_stats": {"usage": 900, "stats": {"inactive_file": 300}}, "cpu_stats": PROCESSOR}


@pytest.mark.parametrize(
    "pages",
    [{"inactive_file": 1, "total_inactive_file": 300}, {"inactive_file": 300}],
    ids=["control groups of version 1", "of version 2"],
)
def test_files_that_can_be_given_back_are_not_used(pages: dict[str, int]) -> None:
    told = {"memory_stats": {"usage": 900, "stats": pages}, "cpu_stats": PROCESSOR}

    assert shapes.usage(told) == Usage(600, 2.5)


def test_what_does_not_run_is_told_to_use_nothing_at_all() -> None:
    told = {"memory_stats": {}, "cpu_stats": {"cpu_usage": {"total_usage": 0}}}

    assert shapes.usage(told) is None


class Busy:
    """An engine that fails to freeze a container at first, or for ever for a reason of its own."""

    def __init__(self, *reasons: str) -> None:
        self.reasons = list(reasons)

    def pause(self, container_id: str) -> None:
        if self.reasons:
            raise Refused("500", explanation=self.reasons.pop(0))


def test_what_can_not_be_frozen_at_once_is_tried_again() -> None:
    busy = Busy("unable to freeze: unknown", "unable to freeze: unknown")
    pause(busy, "one")

    assert busy.reasons == []


def test_what_can_not_be_frozen_for_another_reason_is_told() -> None:
    with pytest.raises(Refused, match="not running"):
        pause(Busy("it is not running", "it is not running"), "one")


class Elsewhere:
    """An engine on another machine, with two containers."""

    def containers(self) -> list[dict[str, str]]:
        return [{"Id": "one"}, {"Id": "two"}]

    def stats(self, container_id: str, **_more: bool) -> dict[str, Any]:
        return RUNS


def test_on_another_machine_there_is_what_its_containers_leave() -> None:
    assert room_beside(Elsewhere(), 2000) == Room(2000, 800)
    assert room_beside(Elsewhere(), 1000) == Room(1000, 0)
