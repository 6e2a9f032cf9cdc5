"""A container that was stopped on purpose: who merely listens waits with it, on real sockets."""

from contextlib import AsyncExitStack

from gateway.routing import State
from tests.gateway.test_sleepers import (
    CONNECTED,
    Asleep,
    asleep,
    beat_every_s,
    clocks,
    look_every_s,
)

__all__ = ["asleep", "beat_every_s", "clocks", "look_every_s"]


async def test_open_tab_does_not_start_what_was_stopped(asleep: Asleep) -> None:
    await asleep.start()
    async with AsyncExitStack() as tab:
        await asleep.stream()
        await asleep.tell(State.STOPPED, at_rest=True)
        waiting = await asleep.gw.open("/global/event", tab)
        health = await asleep.gw.ask("/global/health")

        assert health[0] == 200
        assert asleep.orchestrator.ensures == 1

        await asleep.gw.ask("/session")
        assert b" 200 " in await waiting.head()
        assert await waiting.exactly(len(CONNECTED)) == CONNECTED
        assert asleep.orchestrator.ensures == 2


async def test_what_ended_by_itself_is_started_for_an_open_tab(asleep: Asleep) -> None:
    await asleep.start()
    async with AsyncExitStack() as tab:
        await asleep.tell(State.STOPPED, at_rest=False)
        back = await asleep.gw.open("/global/event", tab)

        assert b" 200 " in await back.head()
        assert asleep.orchestrator.ensures == 2


async def test_who_waits_with_it_is_told_when_the_session_is_deleted(asleep: Asleep) -> None:
    await asleep.start()
    async with AsyncExitStack() as tab:
        await asleep.tell(State.STOPPED, at_rest=True)
        waiting = await asleep.gw.open("/global/event", tab)
        await asleep.gw.parts.directory.remove(asleep.gw.session_id)

        assert b" 409 " in await waiting.head()
