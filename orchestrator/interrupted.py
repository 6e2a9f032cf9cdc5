"""Turns that a killed server left unfinished, told as the events that it could not send itself.

OpenCode keeps such a message without an end for ever, and resumes nothing. Found by reading what is
stored, without loading directories for it. Who is told, and how long, is not known here.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.events import member, objects, text
from orchestrator.server import NotReady, Server, inside

WHY = "The container was killed while it worked on this. Ask again to go on."
# Not OpenCode's MessageAbortedError: its clients show that as the person's own wish, without words.
_ERROR = {"name": "UnknownError", "data": {"message": WHY}}
# What was at work at the end was changed last; more than this many at once is nobody's day.
_NEWEST = "30"
_EACH_WITHIN_S = 10.0
# A tool that OpenCode aborts says so in these words, by which its clients know one.
_TOOL_ERROR = "Tool execution aborted"

Told = dict[str, Any]


async def find_interrupted(server: Server, running: Mapping[str, str] | None = None) -> list[Told]:
    """OpenCode's own events, each `{"directory", "payload"}`, that end for a client what was left
    unfinished; empty if nothing was. To be asked right after the boot. What is told of a
    conversation is out of date once it is in `Work.begun`. NotReady if nothing can be learnt.

    Looked at are the newest conversations of the server's own directory, and those known to have
    been `running` (their directories by conversation), wherever they are. Not all: any request for
    a conversation loads its directory, so that looking through them would load every one.
    """
    own = text(await server.fetch("/path", timeout_s=_EACH_WITHIN_S), "directory")
    query = {**inside(own), "limit": _NEWEST}
    newest = await server.fetch("/experimental/session", query, _EACH_WITHIN_S)
    places = {text(each, "id"): text(each, "directory") for each in objects(newest)}
    told: list[Told] = []
    for conversation, directory in {**places, **(running or {})}.items():
        told += endings(conversation, directory, await _last(server, conversation))
    return told


def conversation_of(told: Told) -> str:
    """Whose ending this is."""
    return text(member(told["payload"], "properties"), "sessionID")


async def _last(server: Server, conversation: str) -> Any:
    try:
        messages = await server.fetch(
            f"/session/{conversation}/message", {"limit": "1"}, _EACH_WITHIN_S
        )
    except NotReady:
        return None  # one that can't be read must not hide the others
    return next(reversed(objects(messages)), None)


def endings(conversation: str, directory: str, last: Any) -> list[Told]:
    """The events that end this conversation's last message, if it has no end."""
    info = member(last, "info")
    time = member(info, "time")
    if text(info, "role") != "assistant" or "completed" in time:
        return []
    parts = objects(last.get("parts"))
    end = _last_sign(time, parts)
    whose = {"sessionID": conversation}
    ended = {**info, "time": {**time, "completed": end}, "error": _ERROR}
    payloads = [
        ("message.updated", {**whose, "info": ended}),
        *(("message.part.updated", {**whose, **part}) for part in _stopped_tools(parts, end)),
        ("session.error", {**whose, "error": _ERROR}),
        ("session.status", {**whose, "status": {"type": "idle"}}),
        ("session.idle", whose),
    ]
    number = text(info, "id").removeprefix("msg_")
    return [
        {
            "directory": directory,
            "payload": {"id": f"evt_{number}{count}", "type": kind, "properties": properties},
        }
        for count, (kind, properties) in enumerate(payloads)
    ]


def _stopped_tools(parts: list[dict[str, Any]], end: float) -> Iterator[dict[str, Any]]:
    for part in parts:
        state = member(part, "state")
        if part.get("type") == "tool" and text(state, "status") in ("pending", "running"):
            start = member(state, "time").get("start", end)
            metadata = {**member(state, "metadata"), "interrupted": True}
            failed = {"status": "error", "error": _TOOL_ERROR, "metadata": metadata}
            time = {"start": start, "end": end}
            stopped = {"input": member(state, "input"), **failed, "time": time}
            yield {"part": {**part, "state": stopped}, "time": end}


def _last_sign(time: dict[str, Any], parts: list[dict[str, Any]]) -> float:
    """When it was last seen at work, in milliseconds: when it was killed, nobody wrote down."""
    signs = [time.get("created")]
    for part in parts:
        for times in (member(part, "time"), member(member(part, "state"), "time")):
            signs += [times.get("start"), times.get("end")]
    return max((sign for sign in signs if isinstance(sign, int | float)), default=0)
