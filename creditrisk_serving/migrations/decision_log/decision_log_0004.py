"""Notices of declines are records of the log."""

import sqlalchemy as sa
from alembic import op

revision = "decision_log_0004"
down_revision = "decision_log_0003"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "notices",
        sa.Column("notice_id", sa.String(32), primary_key=True),
        sa.Column("decision_id", sa.String(32), nullable=False),
        sa.Column("applicant_id", sa.BigInteger, nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("issued_at", sa.String(32), nullable=False),
        sa.Column("due_by", sa.String(10), nullable=False),
        sa.Column("caller", sa.String(64), nullable=False),
        sa.Column("jurisdiction", sa.String(8), nullable=False),
        sa.Column("document_sha256", sa.String(64), nullable=False),
        sa.Column("document", sa.Text),
        sa.Column("writer", sa.String(32)),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("hash", sa.String(64)),
    )
    op.create_index("notices_by_decision", "notices", ["decision_id"])
    op.create_index("notices_by_writer", "notices", ["writer", "sequence"])


def downgrade() -> None:
    """Drop the table where it holds nothing: notices are part of what the chains hash."""
    if count := op.get_bind().execute(sa.text("select count(*) from notices")).scalar_one():
        raise RuntimeError(
            f"{count} notices are in the log, for which decision_log_0003 has no table, and their chains would break:"
            " restore the backup that was made before the upgrade (`creditrisk restore`)"
        )
    op.drop_table("notices")
