"""Contracts of the training and the test part: the joined feature table with TARGET.

What belongs here: what the split adds to the applicant contract. What does not: the features (their own contracts), who
is in which part (`modelling.split`).
"""

from copy import copy
from typing import Any

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.features import APPLICANT
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

KEY = "sk_id_curr"
TARGET = "target"


def _part(name: str, words: str) -> TableContract:
    members: dict[str, Any] = {}
    annotations: dict[str, Any] = {}
    for column, (annotation, info) in APPLICANT.model.__fields__.items():
        members[column], annotations[column] = copy(info), annotation.raw_annotation
        if column == KEY:
            members[TARGET] = pa.Field(isin=[0, 1], description="Payment difficulties: 1", metadata={"unit": "flag"})
            annotations[TARGET] = dt.Int32
    body = {
        "__doc__": f"Grain: one row per applicant of the {words} part, with TARGET and every feature.",
        "__module__": __name__,
        "__annotations__": annotations,
        "Config": type("Config", (), {"strict": True, "unique": (KEY,)}),
    }
    metaclass: Any = type(DataFrameModel)
    model = metaclass(name.title().replace("_", ""), (DataFrameModel,), {**body, **members})
    return TableContract(table=name, model=model, layer="training")


SPLITS: dict[str, TableContract] = {
    "split_train": _part("split_train", "training"),
    "split_test": _part("split_test", "test"),
}
