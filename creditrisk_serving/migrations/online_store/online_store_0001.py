"""The index of snapshots, and the pointer to the current one."""

import sqlalchemy as sa
from alembic import op

revision = "online_store_0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "online_snapshots",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("rows_count", sa.BigInteger, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("layout", sa.Text, nullable=False),
    )
    op.create_table(
        "online_pointer",
        sa.Column("pointer", sa.String(16), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("verified_at", sa.String(32), nullable=False),
    )
