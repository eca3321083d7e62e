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
    dated_by
        The row's own date: the day or month on which the event it records was known. None: a row is an applicant.
    settles
        Columns that name what several rows settle in parts (the payments of one instalment). Of rows whose part has not
        come yet one stands for what is open, and none where a part has come.
    """

    stem: str
    title: str
    dated_by: str | None = None
    settles: tuple[str, ...] = ()
    layer: str = "raw"
