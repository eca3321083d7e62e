"""Contract of the table of registered model versions.

What belongs here: what the table IS. What does not: registering and promoting (`registry`).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

HASH16 = "^[0-9a-f]{16}$"


class RegisteredVersion(DataFrameModel):
    """Grain: one row per version registered by this materialization."""

    name: dt.String = pa.Field(description="Name in the MLflow registry")
    registry_version: dt.Int64 = pa.Field(ge=1, description="Version in the MLflow registry", metadata={"unit": "id"})
    model_version: dt.String = pa.Field(str_matches=HASH16, description="Version of the signed bundle")
    mlflow_run_id: dt.String = pa.Field(description="Training run in MLflow")
    dagster_run_id: dt.String = pa.Field(description="Run that registered it")
    auc: dt.Float64 = pa.Field(ge=0, le=1, description="On the test part", metadata={"unit": "share"})
    brier: dt.Float64 = pa.Field(ge=0, le=1, description="On the test part", metadata={"unit": "share"})
    promoted: dt.Boolean = pa.Field(description="Whether it became champion")
    reasons: dt.String = pa.Field(description="What the gate said")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("name", "registry_version")


CONTRACT = TableContract(table="version", model=RegisteredVersion, layer="registry")
