"""Remember who may come in, with which agents, and the sessions that are theirs."""

import sqlalchemy as sa  # noqa: TID251
from alembic import op

revision = "0001"
down_revision = None

Time = sa.DateTime(timezone=True)


def _owner() -> sa.Column[str]:
    return _reference("user_id", "users", "CASCADE")


def _reference(name: str, table: str, ondelete: str) -> sa.Column[str]:
    key = sa.ForeignKey(f"{table}.id", ondelete=ondelete)
    return sa.Column(name, sa.String(32), key, nullable=False)


def upgrade() -> None:
    _create_users()
    _create_ways_in()
    _create_agents()
    _create_sessions()


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("username", sa.String(64), nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password_hash", sa.Text),
        sa.Column("created_at", Time, nullable=False),
    )


def _create_ways_in() -> None:
    op.create_table(
        "login_links",
        sa.Column("token_hash", sa.String(64), primary_key=True),
        _owner(),
        sa.Column("expires_at", Time, nullable=False),
        sa.Column("used_at", Time),
    )
    op.create_table(
        "logins",
        sa.Column("id", sa.String(32), primary_key=True),
        _owner(),
        sa.Column("expires_at", Time, nullable=False),
    )


def _create_agents() -> None:
    op.create_table(
        "agents",
        sa.Column("id", sa.String(32), primary_key=True),
        _owner(),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("provider", sa.String(32), nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("base_url", sa.Text),
        sa.Column("image", sa.Text),
        sa.Column("limits", sa.JSON, nullable=False),
        sa.Column("sealed_token", sa.LargeBinary, nullable=False),
        sa.Column("token_hint", sa.String(8), nullable=False),
        sa.Column("created_at", Time, nullable=False),
    )
    op.create_index("agents_user", "agents", ["user_id"])


def _create_sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(32), primary_key=True),
        _owner(),
        _reference("agent_id", "agents", "RESTRICT"),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("token_hash", sa.String(64), nullable=False, unique=True),
        sa.Column("created_at", Time, nullable=False),
    )
    op.create_index("sessions_user", "sessions", ["user_id"])
    op.create_index("sessions_agent", "sessions", ["agent_id"])
    op.create_table(
        "shared_conversations",
        sa.Column("id", sa.Text, primary_key=True),
        _reference("session_id", "sessions", "CASCADE"),
        sa.Column("created_at", Time, nullable=False),
    )
    op.create_index("shared_conversations_session", "shared_conversations", ["session_id"])
