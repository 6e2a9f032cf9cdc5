"""Remember whose a container is and how it ended, the spares, and which orchestrator acts."""

import sqlalchemy as sa  # noqa: TID251
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("containers") as table:
        table.add_column(sa.Column("user_id", sa.String(32), nullable=False, server_default=""))
        table.add_column(sa.Column("volume", sa.String(128), nullable=False, server_default=""))
        table.add_column(sa.Column("crashes", sa.Integer, nullable=False, server_default="0"))
        table.add_column(sa.Column("queue_s", sa.Float))
        table.add_column(sa.Column("claimed", sa.String(64)))
        table.add_column(sa.Column("orderly", sa.Boolean, nullable=False, server_default=sa.true()))
        table.add_column(sa.Column("awake_until", sa.DateTime(timezone=True)))
        table.add_column(sa.Column("booted_at", sa.DateTime(timezone=True)))
    # Until now each volume had its container's name.
    op.execute("UPDATE containers SET volume = 'agent_' || session_id WHERE state <> 'new'")
    op.create_table(
        "spares",
        sa.Column("key", sa.String(64), primary_key=True),
        sa.Column("volume", sa.String(128), nullable=False),
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(32), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("beat", sa.Integer, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )
