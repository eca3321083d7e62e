"""Contracts as Dagster column schemas and column lineage."""

from collections.abc import Mapping

import dagster as dg

from creditrisk_assets.contracts.table import ColumnSpec, TableContract
from creditrisk_assets.defs.artefact import asset_key


def schema_of(contract: TableContract) -> dg.TableSchema:
    """Render a contract as the column schema shown in the UI."""
    return dg.TableSchema(columns=[column_of(spec) for spec in contract.columns])


def column_of(spec: ColumnSpec) -> dg.TableColumn:
    """Render one column: type, description, constraints, unit and protection as tags."""
    bounds = [
        *([f">= {spec.minimum}"] if spec.minimum is not None else []),
        *([f"<= {spec.maximum}"] if spec.maximum is not None else []),
        *([f"one of {len(spec.categories)} categories"] if spec.categories else []),
    ]
    tags = {"unit": spec.unit} if spec.unit else {}
    if spec.protected:
        tags["protected"] = "true"
    return dg.TableColumn(
        name=spec.name,
        type=spec.sql_type,
        description=spec.description,
        constraints=dg.TableColumnConstraints(nullable=spec.nullable, other=bounds),
        tags=tags,
    )


def lineage_of(lineage: Mapping[str, frozenset[tuple[str, str]]], *, layer: str) -> dg.MetadataValue:
    """Render column lineage: output column -> (table, column)s of one layer."""
    deps = {
        column: [
            dg.TableColumnDep(asset_key=asset_key(f"{layer}/{table}"), column_name=name)
            for table, name in sorted(sources)
        ]
        for column, sources in lineage.items()
    }
    return dg.MetadataValue.column_lineage(dg.TableColumnLineage(deps))
