"""What the data plane still holds, counted: nothing may be left once nobody is connected."""

from tests.support.wire import Served, until


def left(served: Served) -> dict[str, int]:
    wiring, pool = served.wiring, served.pool
    return {
        "client connections": len(served.state.connections),
        "tasks": len(wiring.tasks._running),
        "revocable": len(wiring.live._held),
        "deadlines": len(wiring.deadlines._watched),
        "upstream connections in use": len(pool._open) - len(pool._idle),
        "requests without an outcome": len(served.door.heads) - answered(served),
    }


def answered(served: Served) -> int:
    """Outcomes of requests that were decided on; one that was unreadable has an outcome, too."""
    return sum(outcome.head is not None for outcome in served.door.outcomes)


async def nothing_left(served: Served) -> None:
    """Wait until all is given back; the deadline says what is not."""
    try:
        await until(lambda: not any(left(served).values()))
    except TimeoutError:
        assert not {what: count for what, count in left(served).items() if count}
