"""Asking a ready container whether it still serves, without holding up what happens meanwhile.

A server that lets two questions in a row go unanswered hangs, even though its port is open. One
that answers and can't load its workspace is left alone: it says so itself, and better than we can.
"""

from contextlib import suppress

import anyio

from orchestrator.charge import Charge
from orchestrator.containers import Record, State
from orchestrator.engines.base import EngineError
from orchestrator.resting import take_reading
from orchestrator.server import NotReady, Server

_TIMEOUT_S = 5.0
_WORD_S = 0.5
_LATE_S = 1.0
_LONGEST_S = 120.0
# A core that builds or tests may keep a healthy server from answering for a while.
_PATIENCE_AT_WORK = 12
_PATIENCE = 2
_SERVES = "OpenCode answers."


async def check(charge: Charge, lock: anyio.Lock, *, doubted: bool = False) -> None:
    """Ask a ready container; if it does not answer, it is ready no longer. One that somebody
    `doubted`, because it had not answered him, is not asked twice."""
    asked, server = charge.record, server_of(charge)
    if not charge.is_in(State.READY):
        return
    if server is None:
        reason: NotReady | None = NotReady("It has no address in its network any more.")
    else:
        reason = await _unhealthy(charge, server, doubted=doubted)
    if reason is not None:
        await _engine_has_spoken(charge)
    why = None if reason is not None or server is None else await _unable(server)
    async with lock:
        if not charge.is_in(State.READY) or charge.record.generation != asked.generation:
            return  # the answer is about an earlier life of this container
        if reason is not None:
            await charge.fell_silent(f"It stopped answering: {reason.why}")
            # It serves nobody, and nobody may come to have it started again.
            with suppress(EngineError):  # then the next look stops it
                await charge.tools.engine.stop(charge.session_id)
        elif why is not None or _was_unable(charge.record):
            await charge.explained(why or _SERVES)


async def _engine_has_spoken(charge: Charge) -> None:
    """A server that has just died is silent a moment before its engine says how it ended, and that
    tells more: the engine's word comes by the owner's own look."""
    with anyio.move_on_after(_WORD_S):
        while charge.is_in(State.READY):
            await charge.attendant.stirred()


def server_of(charge: Charge) -> Server | None:
    live = charge.record.live
    return None if live is None else charge.tools.starter.server(live)


async def _unhealthy(charge: Charge, server: Server, *, doubted: bool) -> NotReady | None:
    """Why it can't be had, after as many questions in a row as its work excuses."""
    missed, began = 0, anyio.current_time()
    while True:
        asked_at = anyio.current_time()
        try:
            charge.attendant.version = await server.check_health(_TIMEOUT_S)
        except NotReady as reason:
            # Who gets no turn on this machine himself can't tell who is silent on it.
            missed += anyio.current_time() - asked_at < _TIMEOUT_S + _LATE_S
            late = anyio.current_time() - began >= _LONGEST_S
            if late or missed >= await _patience(charge, doubted=doubted):
                return reason
            if not charge.is_in(State.READY):
                return None
        else:
            return None


async def _patience(charge: Charge, *, doubted: bool) -> int:
    with suppress(EngineError):
        await take_reading(charge)
    activity = charge.attendant.activity
    # Of a first prompt OpenCode tells only once it has loaded its workspace, which was seen to keep
    # it for 20 s on a machine with ten times more to do than it has cores.
    if charge.attendant.computes or (activity is not None and activity.work.turns):
        return _PATIENCE_AT_WORK
    return 1 if doubted else _PATIENCE


_UNABLE = "It answers, but "


async def _unable(server: Server) -> str | None:
    """What keeps it from its workspace, in words."""
    try:
        await server.check_instance(_TIMEOUT_S)
    except NotReady as reason:
        if not reason.final:
            return None  # slow, or gone: the next question tells
        # It keeps the failed load for as long as it lives, whatever becomes of the file.
        return f"{_UNABLE}{reason.why} Mend or remove that file, then stop and start the session."
    return None


def _was_unable(record: Record) -> bool:
    return record.why.startswith(_UNABLE)
