"""Contracts of the feature families, in the order they are joined, and of the joined table."""

from creditrisk_assets.contracts.features import (
    applicant,
    application,
    bureau,
    credit_card,
    installments,
    pos_cash,
    previous_application,
)
from creditrisk_assets.contracts.features.grid import Grid
from creditrisk_assets.contracts.table import TableContract

_MODULES = (application, bureau, previous_application, installments, credit_card, pos_cash)

FEATURES: dict[str, TableContract] = {module.CONTRACT.table: module.CONTRACT for module in _MODULES}
# A family with regular features declares them as GRID beside its contract.
GRIDS: dict[str, Grid] = {module.GRID.family: module.GRID for module in _MODULES if hasattr(module, "GRID")}
APPLICANT: TableContract = applicant.CONTRACT
