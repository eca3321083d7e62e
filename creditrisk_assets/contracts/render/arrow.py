"""Arrow schemas rendered from the contracts.

What belongs here: types, nullability, and the words that travel with a file as field metadata. What does not: reading
or writing files.
"""

import pyarrow as pa

from creditrisk_assets.contracts.table import ColumnSpec, TableContract

_TYPES = {
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BOOLEAN": pa.bool_(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", tz="UTC"),
}


def arrow_schema(contract: TableContract) -> pa.Schema:
    """Render a table's Arrow schema, columns in file order.

    Returns
    -------
    pyarrow.Schema
        Fields carry `description`, `unit` and `dating` as metadata where they are declared.
    """
    return pa.schema([_field(column) for column in contract.columns], metadata={"table": contract.table})


def _field(column: ColumnSpec) -> pa.Field:
    words = {"description": column.description, "unit": column.unit, "dating": column.dating}
    metadata = {name: word for name, word in words.items() if word}
    return pa.field(column.name, _TYPES[column.sql_type], nullable=column.nullable, metadata=metadata or None)
