"""The plan a model bundle carries: the families' SQL and the raw tables' plain schemas, for the request path.

What belongs here: rendering, from the registry and the contracts, to JSON values. What does not: running it (`request`), writing the
bundle (`modelling.bundle_writer`). The service reads the plan; it never imports this.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import ColumnSpec, TableContract
from creditrisk_assets.features.families import APPLICATION_VIEW, FAMILIES, PRESENCE, Family
from creditrisk_assets.features.program import ProgramError, render_program
from creditrisk_assets.features.proof import render_proof

REQUEST_APPLICATION = "application_test"  # an application without its label is what a request carries


def render_plan(
    families: Mapping[str, Family] = FAMILIES, sources: Mapping[str, SourceContract] = SOURCES
) -> dict[str, Any]:
    """Render what the request path needs, as JSON values.

    Returns
    -------
    dict
        `families`: per family its input views, definition (a hash), SQL and (name, type) columns, and its
        `program`, or in `no_program` why it has none; `presence`: flag of the joined table to the family it
        is about; `tables`: per input view its columns with types, bounds and categories, and its key; `proof`: what
        the families give on drawn rows.
    """
    views = dict.fromkeys(view for family in families.values() for view in family.views)
    plan = {
        "families": {
            name: {
                "inputs": list(family.views),
                "definition": family.definition,
                "sql": family.sql,
                "columns": [list(column) for column in family.columns],
                **_program(family, sources),
            }
            for name, family in families.items()
        },
        "presence": {flag: name for flag, name in PRESENCE.items() if name in families},
        "tables": {view: _table(sources[_source(view)]) for view in views},
    }
    return plan | {"proof": json.loads(_proof(json.dumps(plan)))}


@lru_cache(maxsize=8)
def _proof(plan: str) -> str:
    """Render as JSON text, once per process: it takes seconds."""
    return json.dumps(render_proof(json.loads(plan)))


def input_types(
    family: Family, sources: Mapping[str, SourceContract] = SOURCES
) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the views a family reads, each with (name, SQL type) of its columns."""
    return {
        view: tuple((column.name, column.sql_type) for column in sources[_source(view)].columns)
        for view in family.views
    }


def _program(family: Family, sources: Mapping[str, SourceContract]) -> dict[str, Any]:
    """Render a family as a program; the service computes it with DuckDB where that fails."""
    tables = tuple(input_types(family, sources).items())
    rendered: dict[str, Any] = json.loads(_rendered(family.sql, tables, tuple(family.columns)))
    return rendered


@lru_cache(maxsize=64)
def _rendered(
    sql: str, tables: tuple[tuple[str, tuple[tuple[str, str], ...]], ...], columns: tuple[tuple[str, str], ...]
) -> str:
    """Render as JSON text, once per process: a run asks for the plan several times, and it takes seconds."""
    try:
        return json.dumps({"program": render_program(sql, dict(tables), columns)})
    except ProgramError as error:
        return json.dumps({"no_program": str(error)})


def _source(view: str) -> str:
    return REQUEST_APPLICATION if view == APPLICATION_VIEW else view


def _table(contract: TableContract) -> dict[str, Any]:
    return {"columns": [_column(column) for column in contract.columns], "key": list(contract.key)}


def _column(column: ColumnSpec) -> dict[str, Any]:
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
