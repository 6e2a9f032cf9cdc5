"""Asking a ready container whether it still serves, without holding up what happens meanwhile.

A server that lets two questions in a row go unanswered hangs, even though its port is open. One
that answers and can't load its workspace is left alone: it says so itself, and better than we can.
"""

import anyio

from orchestrator.charge import Charge
from orchestrator.containers import Record, State
from orchestrator.server import NotReady, Server

_TIMEOUT_S = 5.0
# A core that builds or tests may keep a healthy server from answering for a while.
_PATIENCE_AT_WORK = 6
_PATIENCE = 2
_SERVES = "OpenCode answers."


async def check(charge: Charge, lock: anyio.Lock, *, doubted: bool = False) -> None:
    """Ask a ready container; if it does not answer, it is ready no longer. One that somebody
    `doubted`, because it had not answered him, is not asked twice."""
    asked, server = charge.record, server_of(charge)
    if not charge.is_in(State.READY) or server is None:
        return
    reason = await _unhealthy(charge, server, doubted=doubted)
    why = None if reason is not None else await _unable(server)
    async with lock:
        if not charge.is_in(State.READY) or charge.record.generation != asked.generation:
            return  # the answer is about an earlier life of this container
        if reason is not None:
            why = f"It stopped answering: {reason.why} It is started again when it is needed."
            await charge.fell_silent(why)
            # It serves nobody, and nobody may come to have it started again.
            await charge.tools.engine.stop(charge.session_id)
        elif why is not None or _was_unable(charge.record):
            await charge.explained(why or _SERVES)


def server_of(charge: Charge) -> Server | None:
    live = charge.record.live
    return None if live is None else charge.tools.starter.server(live)


async def _unhealthy(charge: Charge, server: Server, *, doubted: bool) -> NotReady | None:
    """Why it can't be had, after as many questions in a row as its work excuses."""
    missed = 0
    while True:
        try:
            charge.attendant.version = await server.check_health(_TIMEOUT_S)
        except NotReady as reason:
            missed += 1
            if missed >= _patience(charge, doubted=doubted):
                return reason
            if not charge.is_in(State.READY):
                return None
        else:
            return None


def _patience(charge: Charge, *, doubted: bool) -> int:
    activity = charge.attendant.activity
    if activity is not None and activity.work.turns:
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
        return f"{_UNABLE}{reason.why} Mend or remove that file."
    return None


def _was_unable(record: Record) -> bool:
    return record.why.startswith(_UNABLE)
