"""Resolved alerts are forgotten after a while: they are found by their end."""

from alembic import op

revision = "alerts_0002"
down_revision = "alerts_0001"


def upgrade() -> None:
    """Add the index."""
    op.create_index("alerts_by_end", "alerts", ["resolved_at"])


def downgrade() -> None:
    """Drop it; nothing is lost."""
    op.drop_index("alerts_by_end", "alerts")
