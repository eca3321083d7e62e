"""Contract of the verdicts on features.

What belongs here: what the table IS. What does not: how a verdict comes about (`modelling.selection`).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

REASONS = ["kept", "constant", "null_importance", "unstable", "redundant", "over_budget"]


class Verdicts(DataFrameModel):
    """Grain: one row per feature the policy allows, the largest gain first; constant ones last."""

    rank: dt.Int64 = pa.Field(ge=1, description="Place by gain, from 1", metadata={"unit": "count"})
    feature: dt.String = pa.Field(description="Feature of the store")
    family: dt.String = pa.Field(description="Feature family")
    protected: dt.Boolean = pa.Field(description="Constrained by the policy: dropped for redundancy alone")
    gain: dt.Float64 = pa.Field(ge=0, description="Median gain over the fits to the outcomes")
    gain_spread: dt.Float64 = pa.Field(ge=0, description="Standard deviation of the gain over these fits")
    null_gain: dt.Float64 = pa.Field(ge=0, description="The stated quantile of the gain over shuffled outcomes")
    shuffles_beaten: dt.Float64 = pa.Field(
        ge=0, le=1, description="Shuffles in which it gained less", metadata={"unit": "share"}
    )
    reason: dt.String = pa.Field(isin=REASONS, description="Why it was dropped; `kept` otherwise")
    words: dt.String = pa.Field(description="The reason with its figures; empty if kept")
    twin: dt.String = pa.Field(nullable=True, description="Kept feature it is redundant to; NULL: it is not")
    correlation: dt.Float64 = pa.Field(
        ge=0, le=1, nullable=True, description="Absolute rank correlation with the twin", metadata={"unit": "ratio"}
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("feature",)


CONTRACT = TableContract(table="selection", model=Verdicts, layer="model")
