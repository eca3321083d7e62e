"""Contract of application_train: applications whose outcome is known.

What belongs here: the label and the key. What does not: the shared columns (`application`).
"""

import ibis.expr.datatypes as dt

from creditrisk_assets.contracts import fields as f
from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources.application import ApplicationAttributes, ApplicationKey


class _Label(DataFrameModel):
    """The outcome of an application."""

    TARGET: dt.Int32 = f.label("1: paid late on one of the first instalments (default); 0: every other case")


class ApplicationTrain(ApplicationAttributes, _Label, ApplicationKey):
    """Grain: one row per SK_ID_CURR. Source: application_train.csv. Applications with their outcome."""

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("SK_ID_CURR",)


CONTRACT = SourceContract(
    table="application_train",
    stem="application_train",
    title="Applications whose outcome is known",
    model=ApplicationTrain,
)
