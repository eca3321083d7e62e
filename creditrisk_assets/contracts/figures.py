"""Contracts of what evaluations leave for others to read: figures in one tidy shape, slices, the robustness drill.

What belongs here: what the tables ARE. What does not: how they are computed (`modelling.figures`, `modelling.slices`,
`modelling.robustness`), the tables of one evaluation (`contracts.evaluation`).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts import reported as r
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class Figures(DataFrameModel):
    """Grain: one row per figure and slice. Source: the asset named in the row."""

    name: dt.String = pa.Field(description="Figure")
    slice: dt.String = pa.Field(description="Applicants it was measured on, or what was done to them; `everybody`: all")
    value: dt.Float64 = pa.Field(description="Its value, finite")
    low: dt.Float64 = pa.Field(nullable=True, description="Lower end of its 95 % interval; NULL: it has none")
    high: dt.Float64 = pa.Field(nullable=True, description="Upper end of its 95 % interval; NULL: it has none")
    n: dt.Int64 = r.count("Applicants it was measured on")
    source: dt.String = pa.Field(description="Key of the asset that measured it")
    measured: dt.String = pa.Field(description="Key of the artefact it speaks of")
    measured_version: dt.String = pa.Field(description="Version of that artefact")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("name", "slice")


class Slices(DataFrameModel):
    """Grain: one row per slice of the training applicants, strongest evidence of weakness first. Source: PDs out of fold."""

    slice: dt.String = pa.Field(description="The slice in words")
    first_feature: dt.String = pa.Field(description="Feature it is cut by")
    first_value: dt.String = pa.Field(description="Bin of that feature")
    second_feature: dt.String = pa.Field(nullable=True, description="Second feature it is cut by; NULL: none")
    second_value: dt.String = pa.Field(nullable=True, description="Bin of that feature")
    applicants: dt.Int64 = r.count("Applicants in it", minimum=1)
    defaults: dt.Int64 = r.count("Defaults among them")
    share: dt.Float64 = r.share("Their share of all")
    mean_pd: dt.Float64 = r.share("Mean PD")
    bad_rate: dt.Float64 = r.share("Defaults over applicants")
    bad_rate_low: dt.Float64 = r.share("Lower end of its 95 % Jeffreys interval")
    bad_rate_high: dt.Float64 = r.share("Upper end of its 95 % Jeffreys interval")
    brier: dt.Float64 = r.share("Brier score")
    auc: dt.Float64 = r.share("AUC among them; NULL: too few of an outcome", nullable=True)
    auc_low: dt.Float64 = r.share("Lower end of its 95 % interval", nullable=True)
    auc_high: dt.Float64 = r.share("Upper end of its 95 % interval", nullable=True)
    auc_elsewhere: dt.Float64 = r.share("AUC among everybody outside", nullable=True)
    auc_gap: dt.Float64 = r.difference("AUC less that outside", nullable=True)
    ranking_p: dt.Float64 = r.share("p-value that it ranks no worse (unpaired, one-sided)", nullable=True)
    ranking_p_adjusted: dt.Float64 = r.share("The same by Holm over all slices", nullable=True)
    calibration_p: dt.Float64 = r.share("p-value that mean PD and bad rate agree (exact binomial)")
    calibration_p_adjusted: dt.Float64 = r.share("The same by Holm over all slices")
    ranks_worse: dt.Boolean = pa.Field(description="Ranks worse than everybody outside, after adjustment")
    pd_untrue: dt.Boolean = pa.Field(description="Mean PD and bad rate disagree, after adjustment")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("slice",)


class Robustness(DataFrameModel):
    """Grain: one row per thing done to the data of the same applicants; the first row is nothing. Source: models of the folds."""

    scenario: dt.String = pa.Field(description="What was done")
    kind: dt.String = pa.Field(
        isin=["baseline", "family missing", "score missing", "shock", "unseen categories"], description="Of which kind"
    )
    applicants: dt.Int64 = r.count("Applicants scored", minimum=1)
    auc: dt.Float64 = r.share("AUC")
    auc_change: dt.Float64 = r.difference("AUC less that of the data as they are")
    auc_change_low: dt.Float64 = r.difference("Lower end of its 95 % interval (DeLong, paired)")
    auc_change_high: dt.Float64 = r.difference("Upper end of its 95 % interval (DeLong, paired)")
    mean_pd: dt.Float64 = r.share("Mean PD")
    mean_pd_change: dt.Float64 = r.difference("Mean PD less that of the data as they are")
    approval_rate: dt.Float64 = r.share("Applicants approved")
    approval_rate_change: dt.Float64 = r.difference("Approval rate less that of the data as they are")
    decisions_flipped: dt.Float64 = r.share("Applicants with another decision")
    approved_to_declined: dt.Float64 = r.share("Applicants approved as they are, and declined now")
    grade_worse: dt.Float64 = r.share("Applicants with a worse grade")
    grade_better: dt.Float64 = r.share("Applicants with a better grade")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("scenario",)


class GradeMigration(DataFrameModel):
    """Grain: one row per scenario and pair of grades that any applicant has."""

    scenario: dt.String = pa.Field(description="What was done")
    grade_before: dt.String = pa.Field(description="Grade by the data as they are")
    grade_after: dt.String = pa.Field(description="Grade by what was done to them")
    applicants: dt.Int64 = r.count("Applicants with both", minimum=1)

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("scenario", "grade_before", "grade_after")


FIGURES = TableContract(table="figures", model=Figures, layer="model")
SLICES = TableContract(table="slices", model=Slices, layer="model", may_be_empty=True)  # too few applicants for any
ROBUSTNESS = TableContract(table="robustness", model=Robustness, layer="model")
GRADE_MIGRATION = TableContract(table="grade_migration", model=GradeMigration, layer="model")
