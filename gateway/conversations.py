"""Which conversations were created on the shared service, and for which session.

A conversation belongs to the upstream that created it; this is the memory of the few that are not
in their session's own container. It knows no HTTP and decides nothing.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Protocol


class _Memory(Protocol):
    async def add_shared_conversation(
        self, conversation_id: str, session_id: str, created_at: datetime
    ) -> None: ...


class Conversations:
    def __init__(self, store: _Memory) -> None:
        self._store = store
        self._session_of: dict[str, str] = {}

    def load(self, rows: Iterable[tuple[str, str]]) -> None:
        """Take over what the store holds, as pairs of (conversation id, session id)."""
        self._session_of.update(rows)

    def is_shared(self, conversation_id: str, session_id: str) -> bool:
        return self._session_of.get(conversation_id) == session_id

    def note(self, conversation_id: str, session_id: str) -> None:
        """Know it from now on; `keep` makes it last."""
        self._session_of[conversation_id] = session_id

    async def keep(self, conversation_id: str, session_id: str) -> None:
        await self._store.add_shared_conversation(conversation_id, session_id, datetime.now(tz=UTC))

    async def remember(self, conversation_id: str, session_id: str) -> None:
        """Note and keep that the shared service created this conversation for this session."""
        self.note(conversation_id, session_id)
        await self.keep(conversation_id, session_id)

    def forget_session(self, session_id: str) -> None:
        for conversation_id in [c for c, s in self._session_of.items() if s == session_id]:
            del self._session_of[conversation_id]
