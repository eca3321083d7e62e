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
from creditrisk_assets.contracts.table import TableContract

FEATURES: dict[str, TableContract] = {
    contract.table: contract
    for contract in (
        application.CONTRACT,
        bureau.CONTRACT,
        previous_application.CONTRACT,
        installments.CONTRACT,
        credit_card.CONTRACT,
        pos_cash.CONTRACT,
    )
}
APPLICANT: TableContract = applicant.CONTRACT
