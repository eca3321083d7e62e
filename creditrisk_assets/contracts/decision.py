"""Contract of scored applicants: what a decision is, wherever it is written as a table.

What belongs here: the columns of batch scores. What does not: how a PD becomes a decision (`modelling.policy`), the service's log of
decisions (`creditrisk_serving.decisions`).
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
