"""Drawn applications on which a compiled family is compared with DuckDB when a bundle is loaded.

What belongs here: drawing rows from a plan's table: bounds, categories, sentinels, NULL. What does not: what is made of them
(`request`). The standard library only: the scoring service imports this.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

PROBES = 32
FAR = 10_000.0  # where a column has no bound
NULLS = 0.15


def draw_probes(columns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Draw rows of a table: one of NULL alone, the others within its bounds; the same for the same columns.

    Parameters
    ----------
    columns
        The table's columns, as a plan describes them; the first is its key.

    Returns
    -------
    list of dict
        Rows by column name, numbered from 1 in the key.
    """
    generator = random.Random(0)  # noqa: S311 - a sample, not a secret
    key = columns[0]["name"]
    empty: dict[str, Any] = {key: 1}
    return [
        empty,
        *(
            {column["name"]: _draw(generator, column) for column in columns} | {key: number}
            for number in range(2, PROBES + 1)
        ),
    ]


def _draw(generator: random.Random, column: Mapping[str, Any]) -> Any:
    if generator.random() < NULLS:
        return None
    if (categories := column.get("categories") or column.get("known_categories")) is not None:
        return generator.choice(list(categories))
    if (sentinels := column.get("sentinels")) and generator.random() < NULLS:
        return generator.choice(sentinels)["value"]
    if column["sql_type"] == "VARCHAR":
        return generator.choice(["a", "b"])
    if column["sql_type"] == "BOOLEAN":
        return generator.random() < 0.5
    low, high = column.get("minimum"), column.get("maximum")
    low = (-FAR if high is None else min(-FAR, high)) if low is None else low
    high = max(FAR, low) if high is None else high
    value = generator.choice([low, high, generator.uniform(low, high), generator.uniform(low, high)])
    return float(value) if column["sql_type"] == "DOUBLE" else int(value)
