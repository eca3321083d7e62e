"""Contract of the ablation ladder.

What belongs here: what the table IS. What does not: how it is computed (`modelling.ladder`).
"""

from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts import reported as r
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract


def _text(description: str, *, nullable: bool = False) -> Any:
    return pa.Field(nullable=nullable, description=description, metadata={"unit": "category"})


class Ladder(DataFrameModel):
    """Grain: one row per rung. Source: cross-validation of the training applicants that research looks at."""

    rung: dt.String = _text("What it is called")
    place: dt.Int64 = pa.Field(ge=0, description="From the lowest, 0, upwards", metadata={"unit": "count"})
    adds: dt.String = _text("What it has that the rung it stands on has not")
    against: dt.String = _text("The rung it stands on and is compared with; NULL: the lowest", nullable=True)
    inputs_count: dt.Int64 = pa.Field(ge=1, description="Inputs of the model", metadata={"unit": "count"})
    auc: dt.Float64 = r.share("AUC of the margins out of fold")
    auc_low: dt.Float64 = r.share("Lower end of its 95 % interval (DeLong)")
    auc_high: dt.Float64 = r.share("Upper end")
    gain: dt.Float64 = r.difference("Its AUC less that of the rung it stands on", nullable=True)
    gain_low: dt.Float64 = r.difference("Lower end of the paired 95 % interval", nullable=True)
    gain_high: dt.Float64 = r.difference("Upper end", nullable=True)
    p_value: dt.Float64 = r.share("Two-sided, of no difference", nullable=True)
    verdict: dt.String = pa.Field(
        isin=["better", "worse", "undecided"],
        nullable=True,
        description="What the paired interval says",
        metadata={"unit": "category"},
    )
    brier: dt.Float64 = r.share("Mean squared error of PDs calibrated out of fold")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("rung",)


LADDER = TableContract(table="ladder", model=Ladder, layer="model")
