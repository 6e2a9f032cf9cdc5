"""What is learned in passing: whose terminal a ticket opens, which conversations are shared.

Routes depend on both later. It reads what a request names and what a small answer says, and
changes neither; it decides no route.
"""

import json
import time

from gateway import opencode
from gateway.changes import Changes
from gateway.conversations import Conversations
from gateway.news import ConversationShared, TicketAsked
from gateway.wire.tasks import Tasks

# News takes a millisecond between workers, and a hundred where the machine is busy.
_NEWS_ARRIVES_S = 1.0


class Noticing:
    def __init__(self, changes: Changes, conversations: Conversations, tasks: Tasks) -> None:
        self._changes = changes
        self._conversations = conversations
        self._tasks = tasks

    def ticket_asked(self, path: bytes, session_id: str) -> None:
        """A session may ask for a ticket to a terminal: the ticket's bearer is led to it."""
        terminal = opencode.terminal(path) if b"/pty/" in path else None
        if terminal is not None and terminal[1] == "connect-token":
            self._changes.make(TicketAsked(terminal[0], session_id))

    def session_of_ticket(self, path: bytes, query: bytes) -> str | None:
        """Return the session of a terminal that is opened with nothing but a ticket."""
        terminal_id = _opened_by_ticket(path, query)
        if terminal_id is None:
            return None
        return self._changes.tickets.session_of(terminal_id, time.monotonic())

    def may_be_told(self, path: bytes, query: bytes) -> bool:
        """Whether another worker may have noticed the ticket that opens this terminal just now."""
        return not self._changes.alone and _opened_by_ticket(path, query) is not None

    async def ticket_told(self, path: bytes, query: bytes) -> None:
        """Give another worker's news of the ticket the time to arrive."""
        terminal_id = _opened_by_ticket(path, query)
        if terminal_id is not None:
            await self._changes.tickets.comes(terminal_id, time.monotonic(), _NEWS_ARRIVES_S)

    def conversation_created(self, session_id: str, status: int, body: bytes) -> None:
        """The shared service answered a request for a new conversation."""
        conversation_id = _created_id(body) if status == 200 else None
        if conversation_id is not None:
            self._changes.make(ConversationShared(conversation_id, session_id))
            keep = self._conversations.keep(conversation_id, session_id)
            self._tasks.start(keep, "keep conversation")


def _opened_by_ticket(path: bytes, query: bytes) -> str | None:
    terminal = opencode.terminal(path)
    if terminal is None or terminal[1] != "connect" or b"ticket=" not in query:
        return None
    return terminal[0]


def _created_id(body: bytes) -> str | None:
    """Return the id of the conversation that an answer describes, on either API surface."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(answer, dict) and isinstance(answer.get("data"), dict):
        answer = answer["data"]
    found = answer.get("id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and found.startswith("ses_") else None
