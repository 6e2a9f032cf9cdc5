"""Turns that a killed server left unfinished, told as the events that it could not send itself.

OpenCode keeps such a message without an end for ever, and resumes nothing. Found by reading what is
stored; no instance is loaded for it.
"""

from typing import Any

from orchestrator.server import Server


async def interrupted(server: Server) -> list[dict[str, Any]]:
    """OpenCode's own events, each `{"directory", "payload"}`, that end for a client what was left
    unfinished; empty if nothing was. Out of date for a conversation once it is in
    `Activity.begun`."""
    raise NotImplementedError
