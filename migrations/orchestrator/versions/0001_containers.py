"""Remember one record per session: its container's state, and why it is in it."""

import sqlalchemy as sa  # noqa: TID251
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "containers",
        sa.Column("session_id", sa.String(32), primary_key=True),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("container_id", sa.String(128)),
        sa.Column("problem", sa.String(32)),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("retry_at", sa.DateTime(timezone=True)),
        sa.Column("create_s", sa.Float),
        sa.Column("boot_s", sa.Float),
        sa.Column("ready_s", sa.Float),
    )
