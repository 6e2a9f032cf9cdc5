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
        self._of_session: dict[str, set[str]] = {}

    def load(self, rows: Iterable[tuple[str, str]]) -> None:
        """Take over what the store holds, as pairs of (conversation id, session id)."""
        for conversation_id, session_id in rows:
            self.note(conversation_id, session_id)

    def has_any(self, session_id: str) -> bool:
        """Whether any conversation of this session lives on the shared service; most have none."""
        return session_id in self._of_session

    def is_shared(self, conversation_id: str, session_id: str) -> bool:
        return conversation_id in self._of_session.get(session_id, ())

    def note(self, conversation_id: str, session_id: str) -> None:
        """Know it from now on; `keep` makes it last."""
        self._of_session.setdefault(session_id, set()).add(conversation_id)

    async def keep(self, conversation_id: str, session_id: str) -> None:
        await self._store.add_shared_conversation(conversation_id, session_id, datetime.now(tz=UTC))

    def forget_session(self, session_id: str) -> None:
        self._of_session.pop(session_id, None)
