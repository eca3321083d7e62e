"""Contract of application_test: applications whose outcome is not known, to be scored.

What belongs here: the key and that no application is in both files. What does not: the shared columns (`application`).
"""

from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources.application import ApplicationAttributes, ApplicationKey
from creditrisk_assets.contracts.table import Exclusion


class ApplicationTest(ApplicationAttributes, ApplicationKey):
    """Grain: one row per SK_ID_CURR. Source: application_test.csv. Applications without an outcome: no TARGET."""

    class Config:
        """Exactly these columns, and a key."""

        strict = True
        unique = ("SK_ID_CURR",)


CONTRACT = SourceContract(
    table="application_test",
    stem="application_test",
    title="Applications to be scored",
    model=ApplicationTest,
    relations=(Exclusion("SK_ID_CURR", ("application_train", "SK_ID_CURR")),),
)
