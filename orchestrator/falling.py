"""The way down: what is stopped, in order; what ended by itself; what is deleted for good.

Each function finishes one thing and writes it down, whether it was asked for now or by an earlier
run that did not come so far. They run under the owner's lock.
"""

from contextlib import suppress

import anyio

from orchestrator.charge import Charge
from orchestrator.containers import Observation, Phase, State, name_of
from orchestrator.ending import wind_down
from orchestrator.engines.base import EngineError
from orchestrator.errors import OrchestratorError
from orchestrator.plan import Action

STOP_ASKED = "It is being stopped."
STOPPED = "It was stopped. Its files are kept, and it starts again when it is needed."


async def act(charge: Charge, action: Action, seen: Observation | None) -> None:
    """Do what an observation calls for; `ADOPT` is an attempt's, and the owner's to begin."""
    match action:
        case Action.NOTHING | Action.ADOPT:
            pass
        case Action.RECOGNISE | Action.MARK_FROZEN | Action.MARK_THAWED if seen is not None:
            await _take_note(charge, action, seen)
        case Action.CLEAR_CLAIM:
            await clear_claim(charge)
            await charge.ended("Its start was interrupted.")
        case Action.STOP:
            await charge.tools.engine.stop(charge.session_id)
        case Action.FINISH_STOP:
            await finish_stop(charge, STOPPED, orderly=False)
        case Action.FINISH_REMOVAL:
            await finish_removal(charge)
        case _:
            await charge.ended(await _end(charge, seen))


async def finish_stop(charge: Charge, why: str, *, orderly: bool) -> None:
    await charge.tools.engine.stop(charge.session_id)
    await clear_claim(charge)
    await charge.stopped(why, orderly=orderly)


async def finish_removal(charge: Charge) -> None:
    engine, session_id = charge.tools.engine, charge.session_id
    volume = charge.record.volume
    if not volume:  # nobody remembers it, but it may have run
        seen = await engine.find(session_id)
        volume = name_of(session_id) if seen is None else seen.volume
    await engine.remove(session_id)
    await clear_claim(charge)
    await engine.remove_volume(volume)
    await charge.erased()


async def clear_claim(charge: Charge) -> None:
    """Remove the container of a claim that was not finished: under its old name or its new one, it
    may know its agent or not. The volume is the session's since the claim was written down."""
    if charge.record.claimed is not None:
        await charge.tools.engine.remove(charge.record.claimed)
        await charge.tools.engine.remove(charge.session_id)


async def end_in_order(charge: Charge, limit_s: float, scope: anyio.CancelScope) -> bool:
    """Have a server end its work; whatever cancels the scope shortens it. Return whether no turn
    was left unfinished."""
    live = charge.record.live
    server = charge.tools.starter.server(live) if live is not None else None
    if server is None:
        return False
    with scope:
        orderly = await wind_down(
            server, charge.attendant, limit_s, lambda: charge.enter(Phase.ENDING)
        )
        # What an earlier end left unfinished is to be told of after this one, too.
        return orderly and not charge.attendant.interrupted()
    return False


async def clear_away(charge: Charge) -> None:
    """Remove a stopped container; its volume outlives it."""
    await charge.tools.engine.remove(charge.session_id)
    await charge.cleared("It was stopped long ago and its container removed. Its files are kept.")


def removing() -> OrchestratorError:
    return OrchestratorError("session_removing", "This session is being deleted with its files.")


async def _take_note(charge: Charge, action: Action, seen: Observation) -> None:
    match action:
        case Action.RECOGNISE:
            await charge.recognised(seen)
        case Action.MARK_FROZEN:
            await charge.frozen("It was frozen by somebody else. The next request wakes it.")
        case Action.MARK_THAWED:
            await charge.thawed(seen)


async def _end(charge: Charge, seen: Observation | None) -> str:
    """How it ended, with what it printed last where that tells more than that it was ended."""
    if seen is None and charge.is_in(State.STARTING):
        return "Its start was interrupted."
    if seen is None:
        return "It was removed by somebody else."
    if seen.frozen or seen.running:
        return "It was started again by somebody else, without its secrets."
    end = seen.end or "It is not running."
    crashed = charge.record.crashes > 0 and charge.is_in(State.READY, State.FROZEN)
    order, live = charge.order, charge.record.live
    if not crashed or order is None or live is None:
        return end
    with suppress(EngineError):
        hidden = (order.token, charge.tools.starter.password(live))
        return end + await charge.tools.starter.printed(charge.session_id, hidden)
    return end
