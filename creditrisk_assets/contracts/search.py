"""Contract of the trials of the search for hyper-parameters.

What belongs here: what the table IS. What does not: what is tried where (`research.yaml`), how a trial is measured (`modelling.search`).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

OUTCOMES = ["complete", "pruned", "over_budget"]


class Trials(DataFrameModel):
    """Grain: one row per trial that ended, in order. The last twelve columns are LightGBM's parameters as tried."""

    trial: dt.Int64 = pa.Field(ge=0, description="Place in the search, from 0", metadata={"unit": "count"})
    outcome: dt.String = pa.Field(
        isin=OUTCOMES,
        description="`pruned`: given up as worse than the median; `over_budget`: larger than the policy's serving budget",
    )
    folds: dt.Int64 = pa.Field(ge=1, description="Folds it was measured on", metadata={"unit": "count"})
    log_loss: dt.Float64 = pa.Field(ge=0, description="Mean over those folds, on applicants held out")
    trees: dt.Int64 = pa.Field(
        ge=1, description="Trees a model on all rows would have", metadata={"unit": "count"}, nullable=True
    )
    learning_rate: dt.Float64 = pa.Field(gt=0, description="LightGBM's parameter")
    num_leaves: dt.Float64 = pa.Field(ge=2, description="LightGBM's parameter")
    min_child_samples: dt.Float64 = pa.Field(ge=1, description="LightGBM's parameter")
    min_child_weight: dt.Float64 = pa.Field(ge=0, description="LightGBM's parameter")
    feature_fraction: dt.Float64 = pa.Field(gt=0, le=1, description="LightGBM's parameter")
    bagging_fraction: dt.Float64 = pa.Field(gt=0, le=1, description="LightGBM's parameter")
    bagging_freq: dt.Float64 = pa.Field(ge=0, description="LightGBM's parameter")
    lambda_l1: dt.Float64 = pa.Field(ge=0, description="LightGBM's parameter")
    lambda_l2: dt.Float64 = pa.Field(ge=0, description="LightGBM's parameter")
    max_bin: dt.Float64 = pa.Field(ge=2, description="LightGBM's parameter")
    subsample_for_bin: dt.Float64 = pa.Field(ge=1, description="LightGBM's parameter")
    path_smooth: dt.Float64 = pa.Field(ge=0, description="LightGBM's parameter")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("trial",)


CONTRACT = TableContract(table="search", model=Trials, layer="model")
