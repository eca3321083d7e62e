"""Contracts of the registry's tables: the version registered, and whom a candidate would decide on otherwise than the champion.

What belongs here: what the tables ARE. What does not: registering, comparing and promoting (`registry`).
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
    launched_by: dt.String = pa.Field(description="Who launched its training")

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("name", "registry_version")


OUTCOMES = ["approve", "refer", "decline"]


class Swapped(DataFrameModel):
    """Grain: one row per segment, value, the champion's decision and the candidate's; pairs that do not occur have none."""

    segment: dt.String = pa.Field(description="Feature of the policy's segments, or everybody")
    value: dt.String = pa.Field(description="Its value")
    champion: dt.String = pa.Field(isin=OUTCOMES, description="What the champion decides by the PD")
    candidate: dt.String = pa.Field(isin=OUTCOMES, description="What the candidate decides by the PD")
    applicants: dt.Int64 = pa.Field(ge=1, description="Applicants of the test part", metadata={"unit": "count"})
    share: dt.Float64 = pa.Field(ge=0, le=1, description="Of the applicants of this value", metadata={"unit": "share"})
    defaults: dt.Int64 = pa.Field(ge=0, description="Defaults among them", metadata={"unit": "count"})
    bad_rate: dt.Float64 = pa.Field(ge=0, le=1, description="Share of defaults among them", metadata={"unit": "share"})

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("segment", "value", "champion", "candidate")


FIGURES = ["approval_rate", "mean_pd", "brier_loss"]


class ShadowPath(DataFrameModel):
    """Grain: one row per figure and number of pairs drawn. Source: the decision log; the shadow's figure less the champion's."""

    figure: dt.String = pa.Field(isin=FIGURES, description="What differs")
    pairs: dt.Int64 = pa.Field(ge=1, description="Decisions both scored so far", metadata={"unit": "count"})
    mean: dt.Float64 = pa.Field(ge=-1, le=1, description="Mean difference", metadata={"unit": "share"})
    lower: dt.Float64 = pa.Field(ge=-1, le=1, description="Lower end of its sequence", metadata={"unit": "share"})
    upper: dt.Float64 = pa.Field(ge=-1, le=1, description="Upper end of its sequence", metadata={"unit": "share"})
    tolerated_from: dt.Float64 = pa.Field(ge=-1, le=1, description="Lower limit", metadata={"unit": "share"})
    tolerated_to: dt.Float64 = pa.Field(ge=-1, le=1, description="Upper limit", metadata={"unit": "share"})

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("figure", "pairs")


CONTRACT = TableContract(table="version", model=RegisteredVersion, layer="registry")
SWAP_SET = TableContract(
    table="canary", model=Swapped, layer="registry", may_be_empty=True
)  # the first version finds no champion
SHADOW_PATH = TableContract(table="shadow", model=ShadowPath, layer="registry", may_be_empty=True)
