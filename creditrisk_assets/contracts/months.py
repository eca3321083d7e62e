"""Contracts of production months: the outcomes that are delivered, and the applications that were decided.

What belongs here: what the two tables ARE. What does not: drawing months (`simulation.months`), what is measured of them
(`monitoring.performance`).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.decision import BatchScores
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

EARLY, MATURED, LATE = "early", "matured", "late"
MONTH = r"^20[0-9]{2}-(0[1-9]|1[0-2])$"


class Outcomes(DataFrameModel):
    """Grain: one row per SK_ID_CURR of the outcomes seen in one month. Source: the lender's collections, a file per month."""

    SK_ID_CURR: dt.Int64 = pa.Field(ge=0, description="application (key)", metadata={"unit": "id", "dating": "key"})
    APPLICATION_MONTH: dt.String = pa.Field(
        str_matches=MONTH, description="month of the application", metadata={"unit": "month", "dating": "snapshot"}
    )
    OUTCOME: dt.Int32 = pa.Field(
        isin=[0, 1], description="payment difficulties: 1", metadata={"unit": "flag", "dating": "outcome"}
    )
    OBSERVED_MONTH: dt.String = pa.Field(
        str_matches=MONTH, description="month the outcome was seen in", metadata={"unit": "month", "dating": "outcome"}
    )
    MATURITY: dt.String = pa.Field(
        isin=[EARLY, MATURED, LATE],
        description="seen before the loan was old enough to tell, when it was, or later",
        metadata={"unit": "category", "dating": "outcome"},
    )

    class Config:
        """Only these columns, one row per applicant."""

        strict = True
        unique = ("SK_ID_CURR",)


OUTCOMES = TableContract(table="outcomes", model=Outcomes, layer="raw", may_be_empty=True)


class DecidedApplications(BatchScores):
    """Grain: one row per SK_ID_CURR decided in one month. Source: a batch of `creditrisk score` and its raw applications."""

    application_month: dt.String = pa.Field(
        str_matches=MONTH, description="month of the application", metadata={"unit": "month"}
    )
    gender: dt.String = pa.Field(
        nullable=True, description="for testing only, never an input", metadata={"unit": "category", "protected": True}
    )
    age_years: dt.Float64 = pa.Field(
        nullable=True,
        ge=0,
        le=120,
        description="for testing only, never an input",
        metadata={"unit": "years", "protected": True},
    )

    class Config:
        """Only these columns, one row per applicant."""

        strict = True
        unique = ("sk_id_curr",)


APPLICATIONS = TableContract(table="applications", model=DecidedApplications, layer="monitoring")
