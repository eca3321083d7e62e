"""Approvals that were sent to a service wait for the registry."""

import sqlalchemy as sa
from alembic import op

revision = "ledger_0002"
down_revision = "ledger_0001"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "approval_inbox",
        sa.Column("token_sha256", sa.String(64), primary_key=True),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("caller", sa.String(64), nullable=False),
        sa.Column("taken_at", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Drop the table; an approval that counts is in the ledger."""
    op.drop_table("approval_inbox")
