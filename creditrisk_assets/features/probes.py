"""Drawn rows on which compiled families are compared with DuckDB when a bundle is loaded.

What belongs here: drawing rows of a plan's tables: bounds, categories, sentinels, NULL, keys that meet. What does not: what is made of
them (`request`). The standard library only: the scoring service imports this.
"""

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

ROWS = 48  # of each table
APPLICANTS = 6  # who have histories; the applications are more, one of NULL alone
IDS = {"SK_ID_CURR": APPLICANTS, "SK_ID_PREV": 18, "SK_ID_BUREAU": 18}
OWN = {"previous_application": "SK_ID_PREV", "bureau": "SK_ID_BUREAU"}  # tables with one row for each credit
FAR = 10_000.0  # where a column has no bound
FARTHEST = 1e7  # a compiled family leaves whole numbers beyond 2^24 to DuckDB
NULLS = 0.12
EDGE = 0.1


def draw_probes(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Draw rows of every table within its bounds; the same for the same tables, in whatever order they come.

    Parameters
    ----------
    tables
        The tables of a plan.

    Returns
    -------
    dict
        Table -> rows by column name, no key twice.
    """
    generator = random.Random(0)  # noqa: S311 - a sample, not a secret
    return {
        name: _rows(generator, name, tables[name]["columns"], tables[name].get("key") or ()) for name in sorted(tables)
    }


def _rows(
    generator: random.Random, table: str, columns: Sequence[Mapping[str, Any]], key: Sequence[str]
) -> list[dict[str, Any]]:
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for number in range(1, ROWS + 1):
        row = {column["name"]: _draw(generator, column) for column in columns}
        credit = number if table in OWN else generator.randrange(1, IDS["SK_ID_PREV"] + 1)
        ids = {"SK_ID_PREV": credit, "SK_ID_BUREAU": credit, "SK_ID_CURR": credit % APPLICANTS + 1}
        if table == "application":
            ids["SK_ID_CURR"] = number
        row.update({name: value for name, value in ids.items() if name in row})
        if table == "application" and number == 1:
            row = {name: value if name in IDS else None for name, value in row.items()}
        found.setdefault(tuple(row.get(name) for name in key) if key else (number,), row)
    return list(found.values())


def _draw(generator: random.Random, column: Mapping[str, Any]) -> Any:
    if column.get("nullable", True) and generator.random() < NULLS:
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
    low, high = max(low, -FARTHEST), min(high, FARTHEST)
    value = generator.choice([low, high]) if generator.random() < EDGE else _within(generator, low, high)
    return round(value, 3) if column["sql_type"] == "DOUBLE" else int(value)


def _within(generator: random.Random, low: float, high: float) -> float:
    """Draw evenly or, half of the time, of every order of magnitude alike, so that short windows have rows, too."""
    if generator.random() < 0.5 or low > 0:
        return generator.uniform(low, high)
    furthest = generator.choice([bound for bound in (low, high) if bound] or [high])
    size = min(max(abs(furthest), 1.0) ** generator.random(), abs(furthest))
    return math.copysign(size, furthest)
