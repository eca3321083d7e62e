"""Plain schemas of the raw tables, as JSON values, for the scoring service.

What belongs here: what a caller must know to send a row. What does not: the request models built from it (the
service), the SQL that computes features (`features.plan`).

The service does not import the contracts: this is written into the model bundle at registration, so a request is
validated by the contract the model was trained on.
"""

from typing import Any

from creditrisk_assets.contracts.table import ColumnSpec, TableContract


def table_schema(contract: TableContract) -> dict[str, Any]:
    """Render a table.

    Returns
    -------
    dict
        `columns` (see `column_schema`) in file order, and `key`.
    """
    return {"columns": [column_schema(column) for column in contract.columns], "key": list(contract.key)}


def column_schema(column: ColumnSpec) -> dict[str, Any]:
    """Render a column.

    Returns
    -------
    dict
        `name`, `type`, `sql_type`, `nullable`, `minimum` and `maximum` (a value is within them or one of the
        sentinels; null: no bound), `categories` (closed list: any other value is refused; null: none),
        `known_categories` (open list: any other value is accepted and scored as unseen), `sentinels` (list of `value`
        and `meaning`), `unit`, `description`.
    """
    return {
        "name": column.name,
        "type": column.type,
        "sql_type": column.sql_type,
        "nullable": column.nullable,
        "minimum": column.minimum,
        "maximum": column.maximum,
        "categories": None if column.categories is None else list(column.categories),
        "known_categories": None if column.known_categories is None else list(column.known_categories),
        "sentinels": [{"value": value, "meaning": meaning} for value, meaning in column.sentinels.items()],
        "unit": column.unit,
        "description": column.description,
    }
