"""What must hold whenever nothing is under way: records, containers and volumes agree."""

from orchestrator.containers import State
from orchestrator.store import Store
from orchestrator.supervisor import Supervisor
from tests.orchestrator.conftest import SESSION
from tests.orchestrator.fake_engine import FakeEngine

BETWEEN = (State.STARTING, State.STOPPING, State.REMOVING)


async def check_agreement(supervisor: Supervisor, engine: FakeEngine, store: Store) -> None:
    """No container, volume or spare is there that no record knows, nor the other way round."""
    records = {record.session_id: record for record in await store.load()}
    shown = {each["session_id"]: each["state"] for each in supervisor.snapshot()["sessions"]}
    stored = {session_id: record.state for session_id, record in records.items()}
    assert {key: state for key, state in shown.items() if state != "new"} == {
        key: state for key, state in stored.items() if state != "new"
    }
    assert await store.spares() == {}
    assert engine.containers.keys() <= {SESSION}
    # A start that was cut off has named its volume, which may not have been made.
    assert set(engine.written) <= {each.volume for each in records.values()}
    seen = engine.containers[SESSION].seen if SESSION in engine.containers else None
    record = records.get(SESSION)
    state = record.state if record else None
    assert state not in BETWEEN
    assert (seen is not None and seen.running) == (state in (State.READY, State.FROZEN))
    if seen is not None:
        assert record is not None
        assert seen.frozen == (state is State.FROZEN)
        assert (seen.volume, record.claimed) == (record.volume, None)
        assert record.volume in engine.written
