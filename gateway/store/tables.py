"""The tables as the newest migration leaves them, and how a time is kept.

Migrations make them; a test compares the two. This module knows no query.
"""

from datetime import UTC, datetime

from sqlalchemy import (  # noqa: TID251 - this is the store
    JSON,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)


class Time(TypeDecorator[datetime]):
    """An aware time, kept as UTC; SQLite has no zones, so they are put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.replace(tzinfo=UTC)


metadata = MetaData()


def _owner() -> Column[str]:
    return Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False)


users = Table(
    "users",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("username", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password_hash", Text),
    Column("created_at", Time, nullable=False),
)

login_links = Table(
    "login_links",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    _owner(),
    Column("expires_at", Time, nullable=False),
    Column("used_at", Time),
)

logins = Table(
    "logins",
    metadata,
    Column("id", String(32), primary_key=True),
    _owner(),
    Column("expires_at", Time, nullable=False),
)

agents = Table(
    "agents",
    metadata,
    Column("id", String(32), primary_key=True),
    _owner(),
    Column("name", Text, nullable=False),
    Column("provider", String(32), nullable=False),
    Column("model", Text),
    Column("base_url", Text),
    Column("image", Text),
    Column("limits", JSON, nullable=False),
    Column("sealed_token", LargeBinary, nullable=False),
    Column("token_hint", String(8), nullable=False),
    Column("created_at", Time, nullable=False),
    Index("agents_user", "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(32), primary_key=True),
    _owner(),
    # An agent that sessions use can't go: their containers would start with no credentials.
    Column("agent_id", ForeignKey("agents.id", ondelete="RESTRICT"), nullable=False),
    Column("title", Text, nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("created_at", Time, nullable=False),
    Index("sessions_user", "user_id"),
    Index("sessions_agent", "agent_id"),
)

shared_conversations = Table(
    "shared_conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("session_id", ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Time, nullable=False),
    Index("shared_conversations_session", "session_id"),
)
