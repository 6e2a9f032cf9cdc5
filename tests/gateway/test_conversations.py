"""Which conversations the shared service keeps, and for whom."""

from datetime import UTC, datetime

from gateway.conversations import Conversations


class Memory:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str, datetime]] = []

    async def add_shared_conversation(
        self, conversation_id: str, session_id: str, created_at: datetime
    ) -> None:
        self.rows.append((conversation_id, session_id, created_at))


async def test_a_noted_and_kept_conversation_is_its_sessions_alone() -> None:
    memory = Memory()
    conversations = Conversations(memory)
    conversations.note("ses_1", "session")
    await conversations.keep("ses_1", "session")

    assert conversations.is_shared("ses_1", "session")
    assert not conversations.is_shared("ses_1", "another")
    assert not conversations.is_shared("ses_2", "session")
    assert [row[:2] for row in memory.rows] == [("ses_1", "session")]
    assert memory.rows[0][2].tzinfo is UTC


def test_loaded_conversations_are_known() -> None:
    conversations = Conversations(Memory())
    conversations.load([("ses_1", "session")])

    assert conversations.is_shared("ses_1", "session")


def test_a_noted_conversation_is_known_before_it_is_kept() -> None:
    memory = Memory()
    conversations = Conversations(memory)
    conversations.note("ses_1", "session")

    assert conversations.is_shared("ses_1", "session")
    assert memory.rows == []


def test_deleted_session_forgets_its_conversations_only() -> None:
    conversations = Conversations(Memory())
    conversations.load([("ses_1", "session"), ("ses_2", "other")])
    conversations.forget_session("session")

    assert not conversations.is_shared("ses_1", "session")
    assert conversations.is_shared("ses_2", "other")
