"""Letting starts in: what is asked of the machine, and what is stopped to make room."""

import anyio
import pytest

from orchestrator.admission import Allowance, Running
from orchestrator.containers import Room, State
from orchestrator.engines.base import EngineUnavailable
from orchestrator.errors import OrchestratorError
from orchestrator.gate import Gate
from tests.orchestrator.conftest import NO_LIMITS, SESSION, USER, order
from tests.orchestrator.fake_engine import FakeEngine

MIB = 1 << 20
OTHER = "6" * 32
TWO = Allowance(2, 0, 0, 0, 0)


class House:
    """What runs, and how it takes being asked to give way."""

    def __init__(self, *running: Running) -> None:
        self.running = {each.key: each for each in running}
        self.asked: list[str] = []
        self.gives_way = True
        self.engine = FakeEngine()

    def gate(self, allowance: Allowance) -> Gate:
        return Gate(self.engine, allowance, lambda: self.running.values(), self._stop_first)

    async def _stop_first(self, key: str, _: str) -> bool:
        self.asked.append(key)
        if self.gives_way:
            del self.running[key]
        return self.gives_way


def running(key: str, state: State = State.READY, user_id: str | None = USER) -> Running:
    return Running(key, user_id, state, 240 * MIB)


async def test_without_limits_everybody_is_let_in() -> None:
    async with House(running("a"), running("b")).gate(NO_LIMITS).admitted(order(), None):
        pass


async def test_who_was_let_in_counts_until_it_runs_or_has_failed() -> None:
    gate = House().gate(Allowance(1, 0, 0, 0, 0))
    async with gate.admitted(order(), None):
        with pytest.raises(OrchestratorError) as caught:
            async with gate.admitted(order(OTHER), None):
                pass
    assert caught.value.code == "no_room"

    async with gate.admitted(order(OTHER), None):
        pass


async def test_of_many_at_once_no_two_get_the_same_room() -> None:
    gate, inside, refused = House().gate(TWO), [], []
    full = anyio.Event()

    async def enter(number: int) -> None:
        try:
            async with gate.admitted(order(f"{number:032x}"), None):
                inside.append(number)
                await full.wait()
        except OrchestratorError as error:
            refused.append(error.code)
        if len(refused) == 8:
            full.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(enter, number)
    assert (len(inside), refused) == (2, ["no_room"] * 8)


async def test_a_start_that_is_asked_for_again_does_not_count_for_itself() -> None:
    house = House(running(SESSION, State.STARTING), running("a"))
    async with house.gate(TWO).admitted(order(), None):
        pass


async def test_what_is_frozen_is_stopped_first_and_then_there_is_room() -> None:
    house = House(running("a"), running("b", State.FROZEN))
    async with house.gate(TWO).admitted(order(), None):
        assert house.asked == ["b"]


@pytest.mark.parametrize("state", [State.FROZEN, State.STOPPING])
async def test_who_does_not_give_way_still_counts_and_is_asked_once(state: State) -> None:
    house = House(running("a", state), running("b", state))
    house.gives_way = False
    with pytest.raises(OrchestratorError) as caught:
        async with house.gate(TWO).admitted(order(), None):
            pass

    assert (caught.value.code, house.asked) == ("no_room", ["a", "b"])


async def test_a_users_own_limit_is_told_apart_from_the_machines() -> None:
    house = House(running("a"), running("b", user_id=OTHER))
    with pytest.raises(OrchestratorError) as caught:
        async with house.gate(Allowance(0, 1, 0, 0, 0)).admitted(order(), None):
            pass

    assert (caught.value.code, caught.value.status) == ("too_many_containers", 429)
    assert caught.value.data["retry_after_s"] > 0


async def test_memory_that_is_short_refuses_with_the_figures() -> None:
    house = House(running("a"))
    house.engine.memory = Room(8 << 30, 200 * MIB)
    with pytest.raises(OrchestratorError, match="200 MiB of memory to spare") as caught:
        async with house.gate(NO_LIMITS).admitted(order(), None):
            pass

    assert (caught.value.code, caught.value.status) == ("no_room", 503)


async def test_a_spare_that_is_taken_needs_no_room_of_its_own() -> None:
    house = House(running("spare_1", user_id=None))
    house.engine.memory = Room(8 << 30, 50 * MIB)
    async with house.gate(Allowance(1, 0, 0, 0, 0)).admitted(order(), "spare_1"):
        assert house.asked == []


async def test_a_spare_that_another_start_has_taken_saves_no_room() -> None:
    house = House(running(OTHER, State.STARTING))
    house.engine.memory = Room(8 << 30, 260 * MIB)
    with pytest.raises(OrchestratorError, match="of memory to spare"):
        async with house.gate(NO_LIMITS).admitted(order(), "spare_1"):
            pass


async def test_room_that_is_not_made_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.gate._LONGEST_WAIT_S", 0.01)
    house = House()
    house.engine.hold("room")
    with pytest.raises(OrchestratorError, match="was not made in time") as caught:
        async with house.gate(NO_LIMITS).admitted(order(), None):
            pass

    assert caught.value.code == "no_room"


async def test_who_goes_away_while_it_waits_leaves_no_room_taken() -> None:
    house = House()
    gate = house.gate(Allowance(1, 0, 0, 0, 0))
    house.engine.hold("room")
    async with anyio.create_task_group() as group:

        async def enter() -> None:
            async with gate.admitted(order(), None):
                pass

        group.start_soon(enter)
        await house.engine.reached("room")
        group.cancel_scope.cancel()
    house.engine.release("room")

    async with gate.admitted(order(OTHER), None):
        pass


async def test_an_engine_that_sleeps_lets_nobody_in() -> None:
    house = House()
    house.engine.answers = False
    with pytest.raises(EngineUnavailable):
        async with house.gate(NO_LIMITS).admitted(order(), None):
            pass


async def test_the_pool_takes_no_room_that_is_being_made_for_a_start() -> None:
    house = House(running("a", State.FROZEN))
    gate, may = house.gate(Allowance(1, 0, 0, 0, 0)), []

    async def stop_first(key: str, _: str) -> bool:
        del house.running[key]
        may.append(await gate.may_refill())
        return True

    gate._stop_first = stop_first
    async with gate.admitted(order(), None):
        may.append(await gate.may_refill())
    may.append(await gate.may_refill())

    assert may == [False, False, True]


@pytest.mark.parametrize(("most", "may"), [(2, False), (3, True), (0, True)])
async def test_the_pool_is_refilled_only_where_nothing_had_to_give_way(
    most: int, may: bool
) -> None:
    house = House(running("a"), running("b", State.FROZEN))

    assert await house.gate(Allowance(most, 0, 0, 0, 0)).may_refill() is may
