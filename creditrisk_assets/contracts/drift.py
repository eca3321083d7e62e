"""Contract of the drift table.

What belongs here: what the table IS. What does not: how drift is measured (`monitoring.drift`), from where on it
matters (the policy).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class Drift(DataFrameModel):
    """Grain: one row per input of the model, and one for each of its score, grade, decision and first reason, the strongest drift first."""

    feature: dt.String = pa.Field(description="Input of the model, or `score`, `grade`, `decision`, `reason`")
    family: dt.String = pa.Field(description="Feature family; `model` for outcomes")
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
    jensen_shannon: dt.Float64 = pa.Field(
        ge=0, le=1, description="Jensen–Shannon distance, base 2: 0 alike, 1 without overlap"
    )
    expected_psi: dt.Float64 = pa.Field(ge=0, description="The index that chance alone makes of so many applicants")
    evidence: dt.Float64 = pa.Field(
        ge=0,
        le=1,
        description="False discovery rate at which the column would be named (chi-square, Benjamini–Hochberg)",
    )
    missing_reference: dt.Float64 = pa.Field(
        ge=0, le=1, description="NULL in the reference", metadata={"unit": "share"}
    )
    missing_current: dt.Float64 = pa.Field(ge=0, le=1, description="NULL now", metadata={"unit": "share"})
    importance: dt.Float64 = pa.Field(
        ge=0, le=1, description="Share of the model's gain; 0 for outcomes", metadata={"unit": "share"}
    )
    rank: dt.Int64 = pa.Field(
        ge=1, nullable=True, description="Among the inputs: drifted ones first, then by importance; NULL for outcomes"
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("feature",)


CONTRACT = TableContract(table="drift", model=Drift, layer="monitoring")
