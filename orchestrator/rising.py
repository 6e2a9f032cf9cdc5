"""The way up: from whatever a container is to ready, by waking, claiming, adopting or starting.

Every path ends in the charge being ready, or in an error for those who wait. It runs within an
attempt, which holds the owner's lock; it does not know who asked.
"""

from dataclasses import replace

import anyio

from orchestrator.attempt import Attempt
from orchestrator.charge import Charge
from orchestrator.containers import Observation, Order, State
from orchestrator.engines.base import EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.falling import act, clear_claim, removing
from orchestrator.plan import Action, plan
from orchestrator.pool import Spare
from orchestrator.starting import StartFailed


async def rise(charge: Charge, order: Order, attempt: Attempt) -> None:
    """Bring it to ready for an order. Raises OrchestratorError and EngineError."""
    await settle(charge, attempt)
    if charge.is_in(State.FROZEN):
        await wake(charge)
        if charge.is_in(State.FAILED):  # it was found to have ended once too often
            raise charge.failure()
    if charge.is_in(State.READY):
        return
    if charge.is_in(State.REMOVING):
        raise removing()
    # A volume can't be put into a running container: who has one already starts on its own.
    is_new, pool = not charge.record.volume, charge.tools.pool
    offered = pool.offer(order) if is_new else None
    async with charge.tools.gate.admitted(order, offered):
        await _start(charge, order, pool.take(order) if is_new else None, attempt)


async def wake(charge: Charge) -> None:
    """Thaw a frozen container: its memory, connections and address are as they were. If it is gone,
    that is noted. Raises EngineError if it stays frozen."""
    if not charge.is_in(State.FROZEN):
        return  # it was stopped or deleted before its turn came
    live: Observation | None
    try:
        live = await charge.tools.engine.thaw(charge.session_id)
    except EngineError:
        live = await charge.tools.engine.find(charge.session_id)
        if live is not None and live.frozen:
            raise
    await act(charge, plan(charge.record, live), live)


async def settle(charge: Charge, attempt: Attempt) -> None:
    """Finish what an earlier run or a silent engine left half done."""
    if charge.is_in(State.STARTING, State.STOPPING):
        seen = await charge.tools.engine.find(charge.session_id)
        action = plan(charge.record, seen)
        if action is Action.ADOPT and seen is not None:
            await _adopt(charge, seen, attempt)
        else:
            await act(charge, action, seen)


async def _adopt(charge: Charge, seen: Observation, attempt: Attempt) -> None:
    try:
        live = await charge.tools.starter.adopt(seen, attempt.progress)
    except StartFailed as failure:
        raise await charge.start_failed(failure) from failure
    await charge.adopted(live)


async def _start(charge: Charge, order: Order, spare: Spare | None, attempt: Attempt) -> None:
    if spare is None:
        await charge.start_asked(order)
    elif await _claim(charge, order, spare, attempt):
        return
    await _start_cold(charge, order, attempt)


async def _claim(charge: Charge, order: Order, spare: Spare, attempt: Attempt) -> bool:
    """Try to take a spare; False if that failed and a cold start is to follow."""
    try:
        await charge.claim_begun(order, spare.key, spare.volume)
    except OrchestratorError:  # it could not be written down, so it is nobody's still
        charge.tools.pool.put_back(spare)
        raise
    try:
        live, timings = await charge.tools.starter.claim(spare.key, order, attempt.progress)
    except StartFailed as failure:
        charge.tools.metrics.happened("claim_failed", failure.problem)
        await clear_claim(charge)
        await charge.claim_failed()
        return False
    await charge.answered(live, timings, "claimed")
    return True


async def _start_cold(charge: Charge, order: Order, attempt: Attempt) -> None:
    asked_at = anyio.current_time()
    queue = charge.tools.queue
    async with queue.place(order.user_id, order.session_id, charge.moved_up):
        queue_s = round(anyio.current_time() - asked_at, 3)
        charge.queue = None
        try:
            live, timings = await charge.tools.starter.start(order, charge.record, attempt.progress)
        except StartFailed as failure:
            raise await charge.start_failed(failure) from failure
    await charge.answered(live, replace(timings, queue_s=queue_s), "cold")
