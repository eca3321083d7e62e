"""Ties that several raw tables have in common, with the orphan shares of the reference portfolio.

What belongs here: relations used by more than one table. What does not: how they are checked (`check`).
"""

from creditrisk_assets.contracts.table import Relation


def applicant() -> Relation:
    """Tie an applicant's history to one of the two application files (no orphan in the reference portfolio)."""
    parents = (("application_train", "SK_ID_CURR"), ("application_test", "SK_ID_CURR"))
    return Relation("SK_ID_CURR", parents, max_orphan_share=0.01)


def previous_credit(max_orphan_share: float) -> Relation:
    """Tie a contract's monthly rows or instalments to its previous application; some of those were purged."""
    return Relation("SK_ID_PREV", (("previous_application", "SK_ID_PREV"),), max_orphan_share)
