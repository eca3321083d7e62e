"""The log before hard rules: decisions say neither which rule decided nor how long it took."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "decision_log_0001"
down_revision = None


def _chained() -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("writer", sa.String(32)),
        sa.Column("sequence", sa.BigInteger),
        sa.Column("hash", sa.String(64)),
    )


def _key(name: str, length: int) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), primary_key=True)


def _needed(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "decisions",
        _key("decision_id", 32),
        _needed("request_id", sa.String(64)),
        _needed("decided_at", sa.String(32)),
        _needed("applicant_id", sa.BigInteger()),
        *(_needed(n, sa.String(64)) for n in ("caller", "model_version", "bundle_sha256", "policy_version")),
        _needed("pd", sa.Float(53)),
        *(_needed(n, sa.String(16)) for n in ("decision", "band")),
        *(_needed(n, sa.Text()) for n in ("families", "feature_versions", "input", "features")),
        *_chained(),
    )
    op.create_table(
        "reviews",
        _key("review_id", 32),
        _needed("decision_id", sa.String(32)),
        _needed("request_id", sa.String(64)),
        _needed("reviewed_at", sa.String(32)),
        _needed("caller", sa.String(64)),
        _needed("reviewer", sa.String(100)),
        _needed("outcome", sa.String(16)),
        _needed("reason", sa.Text()),
        *_chained(),
    )
    op.create_table(
        "erasures",
        _key("erasure_id", 32),
        _needed("applicant_id", sa.BigInteger()),
        _needed("erased_at", sa.String(32)),
        _needed("decisions", sa.BigInteger()),
        _needed("reason", sa.Text()),
        *_chained(),
    )
    op.create_table(
        "batches",
        _key("batch_id", 32),
        _needed("decided_at", sa.String(32)),
        _needed("source", sa.String(200)),
        *(_needed(n, sa.String(64)) for n in ("model_version", "bundle_sha256", "policy_version")),
        *(_needed(n, sa.BigInteger()) for n in ("scored", "rejected")),
        *(_needed(n, sa.String(64)) for n in ("input_sha256", "scores_sha256", "manifest_sha256")),
        *_chained(),
    )
    op.create_table(
        "writers",
        _key("writer", 32),
        _needed("frames", sa.BigInteger()),
        _needed("sequence", sa.BigInteger()),
        _needed("hash", sa.String(64)),
    )
    op.create_table("layouts", _key("layout", 64), _needed("content", sa.Text()))
    op.create_table(
        "answers",
        _key("caller", 64),
        _key("key", 128),
        _needed("body_sha256", sa.String(64)),
        _needed("token", sa.String(32)),
        _needed("claimed_at", sa.Float(53)),
        sa.Column("answer", sa.Text),
    )
    op.create_table("probe", _key("name", 16), sa.Column("at", sa.Float(53)))
    op.create_table(
        "subject_keys",
        _key("key_id", 32),
        _needed("applicant_id", sa.BigInteger()),
        _needed("key", sa.LargeBinary(32)),
    )
    for name, table, columns in (
        ("decisions_by_applicant", "decisions", ["applicant_id", "decided_at"]),
        ("decisions_by_request", "decisions", ["request_id"]),
        ("decisions_by_time", "decisions", ["decided_at", "decision_id"]),
        ("reviews_by_decision", "reviews", ["decision_id"]),
        ("batches_by_scores", "batches", ["scores_sha256"]),
        ("subject_keys_by_applicant", "subject_keys", ["applicant_id"]),
        *(
            (f"{table}_by_writer", table, ["writer", "sequence"])
            for table in ("decisions", "reviews", "erasures", "batches")
        ),
    ):
        op.create_index(name, table, columns)
