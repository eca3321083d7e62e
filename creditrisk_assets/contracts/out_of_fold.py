"""Contract of the out-of-fold predictions of the training part.

What belongs here: what the table IS. What does not: how it is computed (`modelling.cross_validation`), whether the AUC is to be
believed (a check of its asset).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


class OutOfFold(DataFrameModel):
    """Grain: one row per training applicant and repeat. Source: training/split_train, by models that have not seen the applicant."""

    sk_id_curr: dt.Int64 = pa.Field(ge=0, description="application", metadata={"unit": "id", "dating": "key"})
    target: dt.Int32 = pa.Field(isin=[0, 1], description="Payment difficulties: 1", metadata={"unit": "flag"})
    repeat: dt.Int32 = pa.Field(ge=0, description="repeat of the cross-validation, from 0", metadata={"unit": "count"})
    fold: dt.Int32 = pa.Field(ge=0, description="fold that held the applicant out, from 0", metadata={"unit": "count"})
    margin: dt.Float64 = pa.Field(
        description="log-odds of a default, before calibration", metadata={"unit": "log-odds"}
    )
    margin_spread: dt.Float64 = pa.Field(
        ge=0, nullable=True, description="standard deviation of the margins of the models averaged; NULL where one is alone",
        metadata={"unit": "log-odds"},
    )  # fmt: skip
    pd: dt.Float64 = pa.Field(
        ge=0, le=1, description="probability of default, by a map fitted on the other folds", metadata={"unit": "share"}
    )

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("sk_id_curr", "repeat")


OUT_OF_FOLD = TableContract(table="out_of_fold", model=OutOfFold, layer="model")
