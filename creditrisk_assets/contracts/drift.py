"""Contract of the drift table.

What belongs here: what the table IS. What does not: how drift is measured (`monitoring.drift`), from where on it
matters (the policy).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class Drift(DataFrameModel):
    """Grain: one row per input of the model, and one for its score, the strongest drift first."""

    feature: dt.String = pa.Field(description="Input of the model, or `score`")
    family: dt.String = pa.Field(description="Feature family; `model` for the score")
    method: dt.String = pa.Field(isin=["psi"], description="Effect size the verdict rests on")
    statistic: dt.Float64 = pa.Field(ge=0, description="Population stability index against the training reference")
    threshold: dt.Float64 = pa.Field(gt=0, description="The policy's limit")
    drifted: dt.Boolean = pa.Field(description="Whether the statistic reaches the limit")
    wasserstein: dt.Float64 = pa.Field(
        ge=0,
        nullable=True,
        description="Wasserstein distance in reference standard deviations; NULL for categories and constants",
        metadata={"unit": "ratio"},
    )
    missing_reference: dt.Float64 = pa.Field(
        ge=0, le=1, description="NULL in the reference", metadata={"unit": "share"}
    )
    missing_current: dt.Float64 = pa.Field(ge=0, le=1, description="NULL now", metadata={"unit": "share"})
    importance: dt.Float64 = pa.Field(
        ge=0, le=1, description="Share of the model's gain; 1 for the score", metadata={"unit": "share"}
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("feature",)


CONTRACT = TableContract(table="drift", model=Drift, layer="monitoring")
