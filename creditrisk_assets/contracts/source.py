"""The contract of a raw table: a table contract that knows the file it comes from.

What belongs here: the file's name. What does not: where files lie and how they are read (`ingestion`).
"""

from dataclasses import dataclass

from creditrisk_assets.contracts.table import TableContract


@dataclass(frozen=True, kw_only=True)
class SourceContract(TableContract):
    """A raw table.

    Parameters
    ----------
    stem
        Name of its file without suffix, as the source spells it (`POS_CASH_balance`).
    title
        What it holds, in a few words.
    """

    stem: str
    title: str
    layer: str = "raw"
