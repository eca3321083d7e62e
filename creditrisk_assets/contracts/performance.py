"""Contract of the figures of production months.

What belongs here: what the table IS. What does not: how a figure is measured (`monitoring.performance`).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.months import MONTH
from creditrisk_assets.contracts.table import TableContract

PENDING, MATURING, LATE, MATURED = "pending", "maturing", "late", "matured"
STATES = (PENDING, MATURING, LATE, MATURED)
INSUFFICIENT = "insufficient"
FIGURES = (
    "approval_rate", "impact_ratio", "mean_pd", "known_share",
    "expected_bad_rate", "expected_brier", "expected_auc", "realised_bad_rate", "realised_brier", "realised_auc",
    "grade_expected", "grade_realised", "vintage_bad_rate", "early_default_rate",
)  # fmt: skip


class Performance(DataFrameModel):
    """Grain: one row per month, figure and part of the applicants. Source: monitoring/applications and raw/outcomes."""

    application_month: dt.String = pa.Field(
        str_matches=MONTH, description="month of the applications", metadata={"unit": "month", "dating": "key"}
    )
    figure: dt.String = pa.Field(isin=list(FIGURES), description="what is measured", metadata={"unit": "category"})
    segment: dt.String = pa.Field(
        description="what the applicants are parted by; `all`: they are not", metadata={"unit": "category"}
    )
    part: dt.String = pa.Field(description="which part; `all`: everybody", metadata={"unit": "category"})
    value: dt.Float64 = pa.Field(nullable=True, description="NULL: not known, or too few", metadata={"unit": "ratio"})
    low: dt.Float64 = pa.Field(nullable=True, description="lower end of its 95 % interval", metadata={"unit": "ratio"})
    high: dt.Float64 = pa.Field(nullable=True, description="upper end", metadata={"unit": "ratio"})
    applicants: dt.Int64 = pa.Field(ge=0, description="of whom it is measured", metadata={"unit": "count"})
    state: dt.String = pa.Field(
        isin=[*STATES, INSUFFICIENT],
        description="how far the month's outcomes are known; insufficient: too few applicants",
        metadata={"unit": "category"},
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("application_month", "figure", "segment", "part")


PERFORMANCE = TableContract(table="performance", model=Performance, layer="monitoring")
