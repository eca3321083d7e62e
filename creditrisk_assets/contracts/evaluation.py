"""Contracts of the evaluation tables.

What belongs here: what the tables ARE. What does not: how they are computed (`modelling.evaluation`), how good the
figures must be (the policy's gates).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts import reported as r
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class Deciles(DataFrameModel):
    """Grain: one row per tenth of the test applicants, riskiest first."""

    decile: dt.Int64 = r.count("Place of the tenth; 1 holds the highest PDs", minimum=1, maximum=10)
    applicants: dt.Int64 = r.count("Applicants in it", minimum=1)
    defaults: dt.Int64 = r.count("Defaults among them")
    bad_rate: dt.Float64 = r.share("Defaults over applicants")
    mean_pd: dt.Float64 = r.share("Mean predicted PD")
    lowest_pd: dt.Float64 = r.share("Lowest predicted PD")
    highest_pd: dt.Float64 = r.share("Highest predicted PD")
    lift: dt.Float64 = pa.Field(ge=0, description="Bad rate over that of everybody", metadata={"unit": "ratio"})
    captured_share: dt.Float64 = r.share("Share of all defaults found in this tenth and the riskier ones")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("decile",)


class Calibration(DataFrameModel):
    """Grain: one row per group of test applicants with neighbouring PDs, lowest first."""

    group_number: dt.Int64 = r.count("Place of the group; 1 holds the lowest PDs", minimum=1)
    applicants: dt.Int64 = r.count("Applicants in it", minimum=1)
    mean_pd: dt.Float64 = r.share("Mean predicted PD")
    bad_rate: dt.Float64 = r.share("Defaults over applicants")
    bad_rate_low: dt.Float64 = r.share("Lower end of the 95 % Wilson interval")
    bad_rate_high: dt.Float64 = r.share("Upper end of the 95 % Wilson interval")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("group_number",)


class ScoreDistribution(DataFrameModel):
    """Grain: one row per interval of predicted PDs, lowest first."""

    pd_from: dt.Float64 = r.share("Lower end of the interval")
    pd_to: dt.Float64 = r.share("Upper end of the interval")
    repaid: dt.Int64 = r.count("Test applicants in it who repaid")
    defaulted: dt.Int64 = r.count("Test applicants in it who defaulted")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("pd_from",)


class Bands(DataFrameModel):
    """Grain: one row per grade of the policy that any test applicant has, best first."""

    band: dt.String = pa.Field(description="Grade")
    applicants: dt.Int64 = r.count("Test applicants with it", minimum=1)
    share: dt.Float64 = r.share("Their share of all")
    mean_pd: dt.Float64 = r.share("Mean predicted PD")
    bad_rate: dt.Float64 = r.share("Defaults over applicants")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("band",)


class Confusion(DataFrameModel):
    """Grain: one row per decision of the policy's cut-offs. Intervals are Wilson's, at 95 %; NULL: a rate among nobody."""

    decision: dt.String = pa.Field(isin=["approve", "refer", "decline"], description="Decision")
    applicants: dt.Int64 = r.count("Test applicants with it")
    defaults: dt.Int64 = r.count("Defaults among them")
    repaid: dt.Int64 = r.count("Those among them who repaid")
    share: dt.Float64 = r.share("Their share of all")
    share_low: dt.Float64 = r.share("Lower end of its interval")
    share_high: dt.Float64 = r.share("Upper end of its interval")
    bad_rate: dt.Float64 = r.share("Defaults over applicants; of those declined: precision", nullable=True)
    bad_rate_low: dt.Float64 = r.share("Lower end of its interval", nullable=True)
    bad_rate_high: dt.Float64 = r.share("Upper end of its interval", nullable=True)
    defaults_share: dt.Float64 = r.share("Share of all defaults; of those declined: recall")
    defaults_share_low: dt.Float64 = r.share("Lower end of its interval")
    defaults_share_high: dt.Float64 = r.share("Upper end of its interval")
    repaid_share: dt.Float64 = r.share("Share of all who repaid; of those declined: false alarms")
    repaid_share_low: dt.Float64 = r.share("Lower end of its interval")
    repaid_share_high: dt.Float64 = r.share("Upper end of its interval")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("decision",)


class Importance(DataFrameModel):
    """Grain: one row per input of the model, most important first."""

    feature: dt.String = pa.Field(description="Input")
    family: dt.String = pa.Field(description="Feature family it comes from")
    gain_share: dt.Float64 = r.share("Its share of the gain of all splits")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("feature",)


EVALUATION: dict[str, TableContract] = {
    name: TableContract(table=name, model=model, layer="model")
    for name, model in {
        "deciles": Deciles,
        "calibration": Calibration,
        "score_distribution": ScoreDistribution,
        "bands": Bands,
        "confusion": Confusion,
        "importance": Importance,
    }.items()
}
