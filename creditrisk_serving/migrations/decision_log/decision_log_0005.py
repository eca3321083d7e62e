"""Decisions keep what the shadow would have decided."""

import sqlalchemy as sa
from alembic import op

revision = "decision_log_0005"
down_revision = "decision_log_0004"


def upgrade() -> None:
    """Add the column; NULL: no shadow scored it."""
    op.add_column("decisions", sa.Column("shadow", sa.Text))


def downgrade() -> None:
    """Drop the column where it holds nothing: it is part of what the chains hash."""
    held = sa.text("select count(*) from decisions where shadow is not null")
    if count := op.get_bind().execute(held).scalar_one():
        raise RuntimeError(
            f"{count} decisions hold a shadow's, for which decision_log_0004 has no column, and their chains would break:"
            " restore the backup that was made before the upgrade (`creditrisk restore`)"
        )
    op.drop_column("decisions", "shadow")
