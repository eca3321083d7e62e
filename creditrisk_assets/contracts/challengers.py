"""Contract of the standing challengers' figures.

What belongs here: what the table IS. What does not: how it is computed (`modelling.contest`), how much better a challenger must be (a
check of its asset).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts import reported as r
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class Challengers(DataFrameModel):
    """Grain: one row per model. Source: out-of-fold PDs of the applicants research looks at."""

    challenger: dt.String = pa.Field(description="name of the model", metadata={"unit": "text"})
    applicants: dt.Int64 = r.count("Applicants scored, each by a model that has not seen it", minimum=1)
    defaults: dt.Int64 = r.count("Defaults among them", minimum=1)
    fitted: dt.Int64 = r.count(
        "Applicants in the smallest fit, and of the default model's fit it is compared with", minimum=1
    )
    inputs: dt.Int64 = r.count("Inputs the largest of its fits reads", minimum=1)
    auc: dt.Float64 = r.share("Area under the ROC curve, all folds together")
    auc_low: dt.Float64 = r.share("Lower end of its 95 % interval")
    auc_high: dt.Float64 = r.share("Upper end of its 95 % interval")
    default_auc: dt.Float64 = r.share("That of the default model fitted on the same applicants")
    auc_difference: dt.Float64 = r.difference("The challenger's less the default model's")
    auc_difference_low: dt.Float64 = r.difference("Lower end of its paired 95 % interval (DeLong)")
    auc_difference_high: dt.Float64 = r.difference("Upper end of its paired 95 % interval (DeLong)")
    auc_difference_p: dt.Float64 = r.share("Two-sided p-value of no difference, not adjusted")
    mean_pd: dt.Float64 = r.share("Mean PD, as the model gives it")
    above_half: dt.Float64 = r.share("Applicants whose PD, as the model gives it, is 0.5 or more")
    brier: dt.Float64 = r.share("Brier score of the PDs as the model gives them")
    log_loss: dt.Float64 = pa.Field(ge=0, description="Log loss of the same", metadata={"unit": "ratio"})
    expected_calibration_error: dt.Float64 = r.share("Mean gap of PD and default rate in 20 groups, of the same")
    calibration_slope: dt.Float64 = pa.Field(
        nullable=True, description="Of the same; 1 is right; NULL: none can be fitted", metadata={"unit": "ratio"}
    )
    calibrated_brier: dt.Float64 = r.share("Brier score after a calibrator fitted on the other folds")
    brier_difference: dt.Float64 = r.difference("That less the default model's, calibrated alike")
    brier_difference_low: dt.Float64 = r.difference("Lower end of its paired 95 % interval (bootstrap)")
    brier_difference_high: dt.Float64 = r.difference("Upper end of its paired 95 % interval (bootstrap)")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("challenger",)


CHALLENGERS = TableContract(table="challengers", model=Challengers, layer="model")
