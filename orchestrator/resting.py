"""The ladder's steps as they are carried out: freeze, stop, clear away, and give memory back.

`ladder` decides what is due; each step looks once more right before it acts, because to ask an
engine takes time in which somebody may have come. They run under the owner's lock.
"""

from orchestrator.charge import Charge
from orchestrator.containers import State
from orchestrator.engines.base import EngineError, EngineUnavailable
from orchestrator.ladder import Rung

# How long a container must have rested before its memory is taken for grown and not for used.
_RESTS_BEFORE_RECYCLING_S = 2.0


def is_due(charge: Charge) -> bool:
    """Whether a step of the ladder is due, or its memory is to be given back."""
    step = charge.next_step()
    return (step is not None and step.in_s == 0) or outgrew(charge)


def outgrew(charge: Charge) -> bool:
    """Whether a ready container holds more memory than it may keep, and nobody is mid-work in it;
    an open terminal counts as somebody."""
    most, attendant = charge.tools.rules.recycle_above_bytes, charge.attendant
    if not most or not charge.is_in(State.READY) or (attendant.memory_bytes or 0) <= most:
        return False
    rest_s = attendant.rest_s()
    open_terminals = attendant.activity is not None and attendant.activity.work.terminals
    return rest_s is not None and rest_s >= _RESTS_BEFORE_RECYCLING_S and not open_terminals


async def take_reading(charge: Charge) -> bool:
    """See what the container uses now, and so whether something works in it unheard; False if that
    is not told, as of local processes on some systems."""
    usage = await charge.tools.engine.usage(charge.session_id)
    if usage is not None:
        charge.attendant.read(usage)
    return usage is not None


async def look(charge: Charge) -> None:
    """Take a reading, and early enough a first look at the terminals: what one has printed shows
    only by the second."""
    await take_reading(charge)
    rest_s = charge.attendant.rest_s()
    if rest_s is not None and rest_s >= charge.tools.rules.policy.freeze_after_s / 2:
        await charge.attendant.listen_to_terminals()


async def freeze(charge: Charge) -> None:
    """Freeze it, unless a closer look shows that something works in it after all."""
    compared = charge.attendant.memory_bytes is not None
    compared = not await take_reading(charge) or compared
    await charge.attendant.listen_to_terminals()
    # One reading alone does not tell whether anything works: the next look has two.
    if not compared or not _is_due(charge, Rung.FREEZE):
        return
    if not await _frozen(charge):
        return
    if not _is_due(charge, Rung.FREEZE):  # somebody came while the engine froze it
        await charge.tools.engine.thaw(charge.session_id)
        return
    rested = round(charge.tools.rules.policy.freeze_after_s)
    await charge.frozen(f"Nothing happened for {rested} s, so it was frozen. A request wakes it.")


async def _frozen(charge: Charge) -> bool:
    """Freeze it; where the engine can't freeze what runs, it rests awake until it is stopped."""
    try:
        await charge.tools.engine.freeze(charge.session_id)
    except EngineUnavailable:
        raise
    except EngineError as error:
        seen = await charge.tools.engine.find(charge.session_id)
        if seen is not None and seen.running:
            charge.rest_awake(str(error))
        return False
    return True


def _is_due(charge: Charge, rung: Rung) -> bool:
    step = charge.next_step()
    return step is not None and step.rung is rung and step.in_s == 0
