"""How much each terminal of a server has printed by now, of which no event tells.

A short WebSocket to the terminal's own connection asks for nothing but its cursor; the next output
is not waited for. A terminal that can't be asked is left out: its end is told by an event.
"""

from collections.abc import Mapping

from orchestrator.server import Server
from orchestrator.work import Terminal


async def cursors(server: Server, terminals: Mapping[str, Terminal]) -> dict[str, int]:
    """The cursor of each terminal that answers in time; for `Activity.looked`."""
    raise NotImplementedError
