"""Contract of the evidence for and against rebalancing.

What belongs here: what the table IS. What does not: how it is computed (`modelling.rebalancing`), which method is in use (`model.yaml`).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts import reported as r
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class Rebalancing(DataFrameModel):
    """Grain: one row per method and what is done to its margins. Source: out-of-fold margins of the applicants research looks at."""

    method: dt.String = pa.Field(
        isin=["none", "weighted", "undersample", "smote", "smote_undersample"],
        description="what is done to the classes before the fit",
        metadata={"unit": "text"},
    )
    stage: dt.String = pa.Field(
        isin=["raw", "prior corrected", "calibrated"],
        description="what is done to the margins after it",
        metadata={"unit": "text"},
    )
    applicants: dt.Int64 = pa.Field(ge=1, description="Applicants scored out of fold", metadata={"unit": "count"})
    defaults: dt.Int64 = pa.Field(ge=1, description="Defaults among them", metadata={"unit": "count"})
    auc: dt.Float64 = r.share("Area under the ROC curve, all folds together")
    mean_pd: dt.Float64 = r.share("Mean PD; the default rate is right")
    brier: dt.Float64 = r.share("Brier score")
    log_loss: dt.Float64 = pa.Field(ge=0, description="Log loss", metadata={"unit": "ratio"})
    expected_calibration_error: dt.Float64 = r.share("Mean gap of PD and default rate in 20 groups")
    calibration_slope: dt.Float64 = pa.Field(
        nullable=True, description="1 is right; NULL: none can be fitted", metadata={"unit": "ratio"}
    )
    calibration_intercept: dt.Float64 = pa.Field(
        nullable=True, description="At slope 1: 0 is right, below it PDs are too high", metadata={"unit": "log-odds"}
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("method", "stage")


REBALANCING = TableContract(table="rebalancing", model=Rebalancing, layer="model")
