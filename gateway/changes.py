"""What becomes of news: it is taken in here, and told to the gateway's other workers.

Who changes something writes it to the store first and then calls `make`; what another worker made
is given to `take`. Both end in the same few lines. It knows no request, no store and no socket.
"""

import time
from collections.abc import Callable

from gateway.absent import Absent, login_key, session_key
from gateway.attempts import Attempts
from gateway.conversations import Conversations
from gateway.news import (
    AgentMade,
    AgentRemoved,
    AttemptBegun,
    AttemptSucceeded,
    ConversationShared,
    LoginEnded,
    LoginMade,
    News,
    SessionLeaving,
    SessionMade,
    SessionRemoved,
    TicketAsked,
    UserRemoved,
)
from gateway.roster import Roster
from gateway.streams import Streams
from gateway.tickets import Tickets

Tell = Callable[[News], None]


def unheard(_news: News) -> None:
    """Tell nobody: there is one worker."""


class Changes:
    def __init__(
        self,
        roster: Roster,
        conversations: Conversations,
        attempts: Attempts,
        streams: Streams,
        tell: Tell = unheard,
    ) -> None:
        self.absent = Absent()
        self.tickets = Tickets()
        self.tell = tell
        self.alone = tell is unheard
        self._roster = roster
        self._conversations = conversations
        self._attempts = attempts
        self._streams = streams

    def make(self, news: News) -> None:
        """Take news in and tell them to the other workers; `tell` alone does the second half."""
        self.take(news)
        self.tell(news)

    def take(self, news: News) -> None:
        match news:
            case LoginMade(user, login):
                self._roster.add_user(user)
                self._roster.add_login(login)
            case LoginEnded(login_id):
                self.absent.note(login_key(login_id))
                self._roster.remove_login(login_id)
                self._streams.close_login(login_id)
            case AgentMade(user_id, agent_id):
                self._roster.add_agent(user_id, agent_id)
            case AgentRemoved(user_id, agent_id):
                self._roster.remove_agent(user_id, agent_id)
            case UserRemoved(user_id):
                self._roster.remove_user(user_id)
            case SessionMade() | SessionLeaving() | SessionRemoved():
                self._take_session(news)
            case _:
                self._take_passing(news)

    def _take_session(self, news: SessionMade | SessionLeaving | SessionRemoved) -> None:
        match news:
            case SessionMade(session):
                self.absent.forget(session_key(session.id))
                self._roster.add_session(session)
            case SessionLeaving(session_id):
                # Noted as absent, or whoever asks for it now would bring it back from the store.
                self.absent.note(session_key(session_id))
                self._roster.remove_session(session_id)
            case SessionRemoved(session_id):
                self.absent.note(session_key(session_id))
                self._roster.remove_session(session_id)
                self._conversations.forget_session(session_id)
                self._streams.close_session(session_id)

    def _take_passing(
        self, news: ConversationShared | TicketAsked | AttemptBegun | AttemptSucceeded
    ) -> None:
        match news:
            case ConversationShared(conversation_id, session_id):
                self._conversations.note(conversation_id, session_id)
            case TicketAsked(terminal_id, session_id):
                self.tickets.note(terminal_id, session_id, time.monotonic())
            case AttemptBegun(username, address):
                self._attempts.count(username, address)
            case AttemptSucceeded(username, address):
                self._attempts.succeeded(username, address)
