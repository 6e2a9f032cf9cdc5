"""Telling of changes: nothing lost, nobody waited for."""

import anyio

from orchestrator.changes import Change, Changes, Listener

SNAPSHOT: Change = ("snapshot", {})


async def heard(listener: Listener) -> list[Change | None]:
    with anyio.fail_after(5):
        return [change async for change in listener.changes(heartbeat_s=60)]


async def test_a_listener_hears_the_snapshot_and_then_every_change_in_order() -> None:
    changes = Changes()
    listener = changes.listen(SNAPSHOT)
    changes.tell("session", {"n": 1})
    changes.tell("session", {"n": 2})
    changes.close()

    assert await heard(listener) == [SNAPSHOT, ("session", {"n": 1}), ("session", {"n": 2})]


async def test_who_falls_behind_is_ended_and_the_others_are_not() -> None:
    changes = Changes(most_unread=2)
    slow = changes.listen(SNAPSHOT)
    changes.tell("session", {"n": 1})
    quick = changes.listen(SNAPSHOT)
    changes.tell("session", {"n": 2})
    changes.close()

    assert await heard(slow) == []
    assert await heard(quick) == [SNAPSHOT, ("session", {"n": 2})]


async def test_a_waiting_listener_is_woken_by_a_change() -> None:
    changes = Changes()
    listener = changes.listen(SNAPSHOT)
    with anyio.fail_after(5):
        async for change in listener.changes(heartbeat_s=60):
            if change == ("session", {}):
                break
            async with anyio.create_task_group() as group:
                group.start_soon(_tell_soon, changes)


async def _tell_soon(changes: Changes) -> None:
    await anyio.lowlevel.checkpoint()
    changes.tell("session", {})


async def test_a_forgotten_listener_hears_no_more() -> None:
    changes = Changes()
    listener = changes.listen(SNAPSHOT)
    changes.forget(listener)
    changes.tell("session", {})
    listener.end()

    assert await heard(listener) == [SNAPSHOT]


async def test_who_comes_after_the_end_hears_the_snapshot_alone() -> None:
    changes = Changes()
    changes.close()
    late = changes.listen(SNAPSHOT)
    changes.tell("session", {})

    assert await heard(late) == [SNAPSHOT]
