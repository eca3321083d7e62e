"""Contracts of the raw tables, in the order they are ingested: parents before children."""

from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import (
    application_test,
    application_train,
    bureau,
    bureau_balance,
    credit_card_balance,
    installments_payments,
    pos_cash_balance,
    previous_application,
)

SOURCES: dict[str, SourceContract] = {
    contract.table: contract
    for contract in (
        application_train.CONTRACT,
        application_test.CONTRACT,
        bureau.CONTRACT,
        bureau_balance.CONTRACT,
        previous_application.CONTRACT,
        pos_cash_balance.CONTRACT,
        installments_payments.CONTRACT,
        credit_card_balance.CONTRACT,
    )
}
