"""Contract of the quarantine: rows of a raw table that break a rule on rows and were kept from being published.

What belongs here: what the table IS, the same for every raw table. What does not: which rows go there (`ingestion.quarantine`), what
becomes of them (`ingestion.corrections`).
"""

import ibis.expr.datatypes as dt
import pandera.ibis as pa

from creditrisk_assets.contracts.model import DataFrameModel
from creditrisk_assets.contracts.table import TableContract

SEPARATOR = ", "  # between the rules of a row


class QuarantinedRows(DataFrameModel):
    """Grain: one row per row of a raw table that is not published. Source: the raw table's files."""

    batch_id: dt.String = pa.Field(
        str_length={"min_value": 1}, description="batch it came in (`base`: the table's own file)"
    )
    source_file: dt.String = pa.Field(str_length={"min_value": 1}, description="where that file came from")
    source_sha256: dt.String = pa.Field(
        str_length=64, description="content of that file, unpacked; a correction is for this content alone"
    )
    position: dt.Int64 = pa.Field(
        ge=1, description="line of a CSV on which the row starts (the header is line 1), number of a Parquet row from 1"
    )
    rule: dt.String = pa.Field(
        str_length={"min_value": 1}, description="rules it breaks, as `rule:column`, separated by a comma and a blank"
    )
    key: dt.String = pa.Field(description="key of the row for people; `?` stands for a part that is not of its type")
    row: dt.String = pa.Field(str_length={"min_value": 2}, description="the row as it was read: JSON, column to text")

    class Config:
        """Exactly these columns; one row per row."""

        strict = True
        unique = ("batch_id", "position")


CONTRACT = TableContract(table="rows", model=QuarantinedRows, layer="quarantine", may_be_empty=True)
