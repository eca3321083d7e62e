"""Contracts of decided applicants: what a decision is, wherever it is written as a table.

What belongs here: the columns of batch scores and of the daily tables of the decision log. What does not: how a PD becomes a decision
(`modelling.policy`), the log the service writes (`creditrisk_serving.decisions`).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

DECISIONS = ("approve", "refer", "decline")


class BatchScores(DataFrameModel):
    """Grain: one row per SK_ID_CURR of the scoring portfolio. Source: features/applicant and the champion's bundle."""

    sk_id_curr: dt.Int64 = pa.Field(ge=0, description="application (key)", metadata={"unit": "id", "dating": "key"})
    pd: dt.Float64 = pa.Field(ge=0, le=1, description="probability of default", metadata={"unit": "share"})
    decision: dt.String = pa.Field(
        isin=list(DECISIONS),
        description="what the policy says of the PD and of its hard rules",
        metadata={"unit": "category"},
    )
    band: dt.String = pa.Field(
        str_length={"min_value": 1}, description="grade of the PD", metadata={"unit": "category"}
    )
    rule: dt.String = pa.Field(
        nullable=True,
        description="hard rule of the policy that decided; NULL: the PD did",
        metadata={"unit": "category"},
    )
    points: dt.Int64 = pa.Field(
        description="score points of the policy's scale; more is better", metadata={"unit": "count"}
    )
    reason_1: dt.String = pa.Field(
        nullable=True,
        description="code of the principal reason of a referral or decline",
        metadata={"unit": "category"},
    )
    reason_2: dt.String = pa.Field(
        nullable=True, description="code of the second reason of a referral or decline", metadata={"unit": "category"}
    )
    reason_3: dt.String = pa.Field(
        nullable=True, description="code of the third reason of a referral or decline", metadata={"unit": "category"}
    )
    reason_4: dt.String = pa.Field(
        nullable=True, description="code of the fourth reason of a referral or decline", metadata={"unit": "category"}
    )
    model_version: dt.String = pa.Field(
        str_length={"min_value": 1}, description="model that scored", metadata={"unit": "id"}
    )
    policy_version: dt.String = pa.Field(
        str_length={"min_value": 1}, description="policy that decided", metadata={"unit": "id"}
    )

    class Config:
        """Only these columns, one row per applicant."""

        strict = True
        unique = ("sk_id_curr",)


BATCH_SCORES = TableContract(table="batch_scores", model=BatchScores)


class LoggedDecisions(DataFrameModel):
    """Grain: one row per decision the service answered. Source: the decision log; nested columns are JSON, as they were stored."""

    decision_id: dt.String = pa.Field(
        str_length={"min_value": 1, "max_value": 32},
        description="decision (key)",
        metadata={"unit": "id", "dating": "key"},
    )
    request_id: dt.String = pa.Field(description="request it was made in", metadata={"unit": "id"})
    decided_at: dt.String = pa.Field(
        str_length={"min_value": 20, "max_value": 32}, description="when, UTC, ISO 8601", metadata={"unit": "time"}
    )
    applicant_id: dt.Int64 = pa.Field(ge=0, description="SK_ID_CURR of the applicant", metadata={"unit": "id"})
    caller: dt.String = pa.Field(description="id of the API key that asked", metadata={"unit": "id"})
    model_version: dt.String = pa.Field(
        str_length={"min_value": 1}, description="model that scored", metadata={"unit": "id"}
    )
    bundle_sha256: dt.String = pa.Field(
        str_length=64, description="hash of the bundle's manifest", metadata={"unit": "id"}
    )
    policy_version: dt.String = pa.Field(
        str_length={"min_value": 1}, description="policy that decided", metadata={"unit": "id"}
    )
    pd: dt.Float64 = pa.Field(ge=0, le=1, description="probability of default", metadata={"unit": "share"})
    decision: dt.String = pa.Field(
        isin=list(DECISIONS), description="what the policy said", metadata={"unit": "category"}
    )
    band: dt.String = pa.Field(
        str_length={"min_value": 1}, description="grade of the PD", metadata={"unit": "category"}
    )
    rule: dt.String = pa.Field(
        nullable=True,
        description="hard rule of the policy that decided; NULL: the PD did",
        metadata={"unit": "category"},
    )
    families: dt.String = pa.Field(description="family -> where its features came from", metadata={"unit": "json"})
    feature_versions: dt.String = pa.Field(
        description="family looked up -> its version in the lake", metadata={"unit": "json"}
    )
    input: dt.String = pa.Field(description="what was sent for the applicant", metadata={"unit": "json"})
    features: dt.String = pa.Field(description="what the model and the hard rules looked at", metadata={"unit": "json"})
    latency_ms: dt.Float64 = pa.Field(
        nullable=True,
        ge=0,
        description="from the request's arrival to its record; NULL: an earlier release",
        metadata={"unit": "ms"},
    )
    reasons: dt.String = pa.Field(
        nullable=True,
        description="principal reasons of a referral or decline; NULL: approved, unexplained, or an earlier release",
        metadata={"unit": "json"},
    )
    shadow: dt.String = pa.Field(
        nullable=True,
        description="what the shadow would have decided; NULL: none scored it, or an earlier release",
        metadata={"unit": "json"},
    )
    writer: dt.String = pa.Field(
        nullable=True, description="process that decided; NULL: a release without chains", metadata={"unit": "id"}
    )
    sequence: dt.Int64 = pa.Field(
        nullable=True, ge=1, description="place in the writer's hash chain", metadata={"unit": "count"}
    )
    hash: dt.String = pa.Field(
        nullable=True, str_length=64, description="hash of the chain up to here", metadata={"unit": "id"}
    )

    class Config:
        """Only these columns, one row per decision."""

        strict = True
        unique = ("decision_id",)


DECISION_LOG = TableContract(table="decision_log", model=LoggedDecisions, layer="serving", may_be_empty=True)
