"""The orderly end of a server's work: what runs may finish, then it is asked to, then it must.

Each step has its deadline, and none can keep a container from being stopped. This module knows no
record; the container itself is stopped by whoever called.
"""

from collections.abc import Callable

import anyio

from orchestrator.attendant import Attendant
from orchestrator.server import NotReady, Server

_ABORT_S = 5.0
_HEARD_S = 0.1


async def wind_down(
    server: Server, attendant: Attendant, limit_s: float, ending: Callable[[], None]
) -> bool:
    """Wait for turns up to `limit_s`, abort those that still run, and have OpenCode dispose of all
    it has loaded. Return whether it is known that no turn was left unfinished.

    `ending` is told before OpenCode is: it announces its end to all its clients, who then ask for
    everything anew, and so started again what was just being stopped.
    """
    finished = await _turns_finished(attendant, limit_s)
    if not finished:
        await _abort(server, attendant)
        finished = await _turns_finished(attendant, _ABORT_S)
    finished = finished and attendant.sees
    ending()
    await anyio.sleep(_HEARD_S)
    await server.dispose()
    return finished


async def _turns_finished(attendant: Attendant, limit_s: float) -> bool:
    with anyio.move_on_after(limit_s):
        while attendant.activity is not None and attendant.activity.work.turns:
            await attendant.stirred()
        return True
    return False


async def _abort(server: Server, attendant: Attendant) -> None:
    """OpenCode marks an aborted turn as aborted, which a killed one never is."""
    turns = dict(attendant.activity.work.turns) if attendant.activity else {}
    with anyio.move_on_after(_ABORT_S):
        for conversation_id, turn in turns.items():
            try:
                await server.abort(conversation_id, turn.directory, _ABORT_S)
            except NotReady:
                return
