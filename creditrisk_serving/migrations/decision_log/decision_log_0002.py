"""Decisions say which hard rule decided, and how long they took."""

import sqlalchemy as sa
from alembic import op

revision = "decision_log_0002"
down_revision = "decision_log_0001"


def upgrade() -> None:
    """Add the columns; NULL: decided by a release that did not note it."""
    op.add_column("decisions", sa.Column("rule", sa.String(64)))
    op.add_column("decisions", sa.Column("latency_ms", sa.Float(53)))


def downgrade() -> None:
    """Drop the columns where they hold nothing: they are part of what the chains hash."""
    held = sa.text("select count(*) from decisions where rule is not null or latency_ms is not null")
    if count := op.get_bind().execute(held).scalar_one():
        raise RuntimeError(
            f"{count} decisions hold a rule or a latency, for which decision_log_0001 has no column, and their chains would break:"
            " restore the backup that was made before the upgrade (`creditrisk restore`)"
        )
    op.drop_column("decisions", "latency_ms")
    op.drop_column("decisions", "rule")
