"""Contracts of what fairness tests leave: groups, proxies, alternatives.

What belongs here: what the tables ARE. What does not: how they are computed (`modelling.fairness`), the limits (the policy's `fairness`).
"""

from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts import reported as r
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

LOW, HIGH = "Lower end of its 95 % interval", "Upper end of its 95 % interval"
FEW = "; NULL: insufficient"


def _ratio(description: str) -> Any:
    return pa.Field(ge=0, nullable=True, description=description, metadata={"unit": "ratio"})


def _number(description: str) -> Any:
    return pa.Field(nullable=True, description=description)


class FairnessGroups(DataFrameModel):
    """Grain: one row per group of test applicants. Of an insufficient group every number is NULL."""

    attribute: dt.String = pa.Field(description="Attribute, or two crossed")
    group: dt.String = pa.Field(description="Group")
    compared_with: dt.String = pa.Field(description="Group it is compared with")
    status: dt.String = pa.Field(isin=["measured", "insufficient"], description="Whether it has enough applicants")
    judged: dt.Boolean = pa.Field(description="Whether the policy's limits hold for it")
    applicants: dt.Int64 = pa.Field(
        ge=1, nullable=True, description=f"Applicants in it{FEW}", metadata={"unit": "count"}
    )
    defaults: dt.Int64 = pa.Field(
        ge=0, nullable=True, description=f"Defaults among them{FEW}", metadata={"unit": "count"}
    )
    approval_rate: dt.Float64 = r.share(f"Approved by the PD, over all{FEW}", nullable=True)
    approval_rate_low: dt.Float64 = r.share(LOW, nullable=True)
    approval_rate_high: dt.Float64 = r.share(HIGH, nullable=True)
    approved_of_repaid: dt.Float64 = r.share(f"Approved among those who repaid (true positives){FEW}", nullable=True)
    approved_of_repaid_low: dt.Float64 = r.share(LOW, nullable=True)
    approved_of_repaid_high: dt.Float64 = r.share(HIGH, nullable=True)
    approved_of_defaulted: dt.Float64 = r.share(
        f"Approved among those who defaulted (false positives){FEW}", nullable=True
    )
    approved_of_defaulted_low: dt.Float64 = r.share(LOW, nullable=True)
    approved_of_defaulted_high: dt.Float64 = r.share(HIGH, nullable=True)
    auc: dt.Float64 = r.share(f"AUC among them{FEW}", nullable=True)
    auc_low: dt.Float64 = r.share(LOW, nullable=True)
    auc_high: dt.Float64 = r.share(HIGH, nullable=True)
    observed_expected: dt.Float64 = _ratio(f"Defaults over the sum of PDs{FEW}")
    observed_expected_low: dt.Float64 = _ratio(LOW)
    observed_expected_high: dt.Float64 = _ratio(HIGH)
    mean_pd: dt.Float64 = r.share(f"Mean PD{FEW}", nullable=True)
    mean_pd_low: dt.Float64 = r.share(LOW, nullable=True)
    mean_pd_high: dt.Float64 = r.share(HIGH, nullable=True)
    impact_ratio: dt.Float64 = _ratio(
        "Approval rate over that of the group it is compared with; NULL: insufficient, or the reference itself"
    )
    impact_ratio_low: dt.Float64 = _ratio(LOW)
    impact_ratio_high: dt.Float64 = _ratio(HIGH)
    opportunity_gap: dt.Float64 = r.difference(
        "Approval rate of those who repaid, less that of the group compared with", nullable=True
    )
    opportunity_gap_low: dt.Float64 = r.difference(LOW, nullable=True)
    opportunity_gap_high: dt.Float64 = r.difference(HIGH, nullable=True)
    mean_difference: dt.Float64 = _number(
        "Mean PD less that of the group compared with, in pooled standard deviations; positive: adverse"
    )
    mean_difference_low: dt.Float64 = _number(LOW)
    mean_difference_high: dt.Float64 = _number(HIGH)

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("attribute", "group")


class Proxies(DataFrameModel):
    """Grain: one row per attribute and group of inputs, strongest first. Source: a sample of the training part, cross-validated."""

    attribute: dt.String = pa.Field(description="Attribute that is told")
    told: dt.String = pa.Field(description="What of it is told")
    input_group: dt.String = pa.Field(description="Inputs that tell it")
    kind: dt.String = pa.Field(
        isin=["group", "family", "everything"], description="One quantity, a whole family, or all inputs"
    )
    inputs: dt.Int64 = r.count("Inputs in the group", minimum=1)
    gain_share: dt.Float64 = r.share("Their share of the model's gain")
    applicants: dt.Int64 = r.count("Applicants it was measured on", minimum=1)
    auc: dt.Float64 = r.share("AUC with which they tell it, out of fold")
    auc_low: dt.Float64 = r.share(LOW)
    auc_high: dt.Float64 = r.share(HIGH)
    strong: dt.Boolean = pa.Field(description="One quantity tells it better than the policy allows")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("attribute", "input_group")


class Alternatives(DataFrameModel):
    """Grain: one row per alternative model or cut-off; the model in use first. Source: a sample of the training part, held out."""

    alternative: dt.String = pa.Field(description="What is done")
    kind: dt.String = pa.Field(
        isin=["in use", "inputs", "constraints", "cut-off"],
        description="The model itself, other inputs, fewer monotone constraints, or another cut-off",
    )
    without: dt.String = pa.Field(description="Groups of inputs left out; empty: none")
    freed: dt.String = pa.Field(description="Quantities with which the PD may move either way; empty: none")
    inputs: dt.Int64 = r.count("Inputs it is fitted on", minimum=1)
    applicants: dt.Int64 = r.count("Applicants it was measured on", minimum=1)
    auc: dt.Float64 = r.share("AUC")
    auc_low: dt.Float64 = r.share(LOW)
    auc_high: dt.Float64 = r.share(HIGH)
    approval_rate: dt.Float64 = r.share("Applicants approved")
    bad_rate: dt.Float64 = r.share("Defaults among those approved")
    bad_rate_low: dt.Float64 = r.share(LOW)
    bad_rate_high: dt.Float64 = r.share(HIGH)
    impact_ratio: dt.Float64 = _ratio(
        "Impact ratio of the judged group for which it is lowest; NULL: no judged group is large enough"
    )
    impact_ratio_low: dt.Float64 = _ratio(LOW)
    impact_ratio_high: dt.Float64 = _ratio(HIGH)
    worst_group: dt.String = pa.Field(description="That group; `insufficient`: none")
    on_frontier: dt.Boolean = pa.Field(
        description="No other choice of inputs and constraints is as good in both, and better in one"
    )
    chosen: dt.Boolean = pa.Field(description="The model in use")
    better: dt.Boolean = pa.Field(
        description="Fairer by the policy's limit, and hardly less accurate, than the same inputs fitted alike"
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("alternative",)


GROUPS = TableContract(table="fairness", model=FairnessGroups, layer="governance")
PROXIES = TableContract(
    table="proxies", model=Proxies, layer="governance", may_be_empty=True
)  # too few applicants for any
ALTERNATIVES = TableContract(table="alternatives", model=Alternatives, layer="governance")
