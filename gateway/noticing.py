"""What is learned in passing: whose terminal a ticket opens, which conversations are shared.

Routes depend on both later. It reads what a request names and what a small answer says, and
changes neither; it decides no route.
"""

import asyncio
import json

from gateway import opencode
from gateway.conversations import Conversations
from gateway.routing import Ask
from gateway.tickets import Tickets
from gateway.wire.tasks import Tasks


class Noticing:
    def __init__(self, conversations: Conversations, tasks: Tasks) -> None:
        self._conversations = conversations
        self._tasks = tasks
        self._tickets = Tickets()

    def ticket_asked(self, ask: Ask, session_id: str) -> None:
        """A session asks for a ticket to a terminal: the ticket's bearer is led to it."""
        if ask.method == b"POST" and b"/pty/" in ask.path:
            terminal = opencode.terminal(ask.path)
            if terminal is not None and terminal[1] == "connect-token":
                self._tickets.note(terminal[0], session_id, asyncio.get_running_loop().time())

    def session_of_ticket(self, path: bytes, query: bytes) -> str | None:
        """Return the session of a terminal that is opened with nothing but a ticket."""
        terminal = opencode.terminal(path)
        if terminal is None or terminal[1] != "connect" or b"ticket=" not in query:
            return None
        return self._tickets.session_of(terminal[0], asyncio.get_running_loop().time())

    def conversation_created(self, session_id: str, status: int, body: bytes) -> None:
        """The shared service answered a request for a new conversation."""
        conversation_id = _created_id(body) if status == 200 else None
        if conversation_id is not None:
            self._conversations.note(conversation_id, session_id)
            keep = self._conversations.keep(conversation_id, session_id)
            self._tasks.start(keep, "keep conversation")


def _created_id(body: bytes) -> str | None:
    """Return the id of the conversation that an answer describes, on either API surface."""
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    if isinstance(answer, dict) and isinstance(answer.get("data"), dict):
        answer = answer["data"]
    found = answer.get("id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and found.startswith("ses_") else None
