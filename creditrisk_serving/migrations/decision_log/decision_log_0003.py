"""Decisions keep their reasons."""

import sqlalchemy as sa
from alembic import op

revision = "decision_log_0003"
down_revision = "decision_log_0002"


def upgrade() -> None:
    """Add the column; NULL: decided by a release that did not note it."""
    op.add_column("decisions", sa.Column("reasons", sa.Text))


def downgrade() -> None:
    """Drop the column where it holds nothing: it is part of what the chains hash."""
    held = sa.text("select count(*) from decisions where reasons is not null")
    if count := op.get_bind().execute(held).scalar_one():
        raise RuntimeError(
            f"{count} decisions hold reasons, for which decision_log_0002 has no column, and their chains would break:"
            " restore the backup that was made before the upgrade (`creditrisk restore`)"
        )
    op.drop_column("decisions", "reasons")
