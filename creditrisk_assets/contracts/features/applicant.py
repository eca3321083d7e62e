"""Contract of the joined feature table: one row per application with the features of every family.

What belongs here: what the join adds and changes. What does not: the families' features (their own contracts), joining (`features.engine`).
"""

from copy import copy
from typing import Any

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts.features import (
    application,
    bureau,
    credit_card,
    installments,
    pos_cash,
    previous_application,
)
from creditrisk_assets.contracts.features import declare as d
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

HISTORIES = (bureau, previous_application, installments, credit_card, pos_cash)


class ApplicantPresence(DataFrameModel):
    """What the join adds: whether an applicant has any row in a history."""

    applicant__has_bureau: dt.Boolean = d.flag("Has credits at other lenders", nullable=False)
    applicant__has_previous_application: dt.Boolean = d.flag("Applied here before", nullable=False)
    applicant__has_installments: dt.Boolean = d.flag("Has instalments of earlier loans here", nullable=False)
    applicant__has_credit_card: dt.Boolean = d.flag("Has a credit card here", nullable=False)
    applicant__has_pos_cash: dt.Boolean = d.flag("Has a consumer or cash loan here", nullable=False)


def _joined() -> type[DataFrameModel]:
    """Compose the model: an applicant without a history has NULL where the family itself never has."""
    members: dict[str, Any] = {}
    annotations: dict[str, Any] = {}
    for contract in (application.CONTRACT, *(module.CONTRACT for module in HISTORIES)):
        for name, (annotation, info) in contract.model.__fields__.items():
            if name in members:
                continue
            field = copy(info)
            field.nullable = info.nullable or contract is not application.CONTRACT
            members[name], annotations[name] = field, annotation.raw_annotation
    for name, (annotation, info) in ApplicantPresence.__fields__.items():
        members[name], annotations[name] = copy(info), annotation.raw_annotation
    body = {
        "__doc__": "Grain: one row per SK_ID_CURR of both application files, with the features of every family.",
        "__module__": __name__,
        "__annotations__": annotations,
        "Config": type("Config", (), {"strict": True, "unique": ("sk_id_curr",)}),
    }
    metaclass: Any = type(DataFrameModel)
    model: type[DataFrameModel] = metaclass("Applicant", (DataFrameModel,), {**body, **members})
    return model


Applicant = _joined()
CONTRACT = TableContract(table="applicant", layer="features", model=Applicant)
