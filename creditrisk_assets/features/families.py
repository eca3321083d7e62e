"""The registry of feature families: what there is to build, from what, under which contract.

What belongs here: one entry per family. What does not: what a feature means (`sql/<family>.sql`), its unit and bounds
(`contracts.features.<family>`), how it is built (`engine`, `request`). Adding a family is one SQL file, one contract, one entry here
and given/expect rows in the tests.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Literal

from creditrisk_assets.contracts.features import APPLICANT, FEATURES
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.table import ColumnSpec, TableContract
from creditrisk_assets.features.statement import KEY

Kind = Literal["numeric", "boolean", "category"]

APPLICATION_TABLES = ("application_train", "application_test")
APPLICATION_VIEW = "application"
OWNER = "team:credit-features"
GRAIN = "one row per SK_ID_CURR"
MOST_TOUCHED = 0.25  # it stops paying at 0.45 to 0.6, earlier when the SQL gets cheaper (docs/decisions/0012)


@dataclass(frozen=True)
class FeatureSpec:
    """One feature, as the catalogue, the encoder and the service need it."""

    name: str
    family: str
    unit: str
    kind: Kind
    sql_type: str
    nullable: bool
    description: str
    minimum: float | None
    maximum: float | None
    known_at: str


@dataclass(frozen=True)
class Family:
    """A set of features computed by one SQL file.

    Parameters
    ----------
    name
        Prefix of its features and name of its files.
    inputs
        Raw tables it is built from, as the lake names them.
    contract
        Declaration of its columns.
    most_touched
        Share of its applicants (0–1) up to which those whose raw rows changed are computed anew and the others taken from the last
        version (`incremental`). 0: whole, unless no row changed; for a family that reads other rows than its applicant's, or whose
        computing costs less than finding out whom to compute.
    """

    name: str
    inputs: tuple[str, ...]
    contract: TableContract
    most_touched: float = MOST_TOUCHED
    owner: str = OWNER
    grain: str = GRAIN

    @property
    def views(self) -> tuple[str, ...]:
        """Names the SQL reads: the raw tables, with both application files seen as one."""
        return tuple(dict.fromkeys(APPLICATION_VIEW if table in APPLICATION_TABLES else table for table in self.inputs))

    @cached_property
    def sql(self) -> str:
        """The SQL that defines the features."""
        return (files("creditrisk_assets.features") / "sql" / f"{self.name}.sql").read_text("utf-8")

    @cached_property
    def features(self) -> tuple[FeatureSpec, ...]:
        """The features in contract order, without the key."""
        return tuple(_feature(self.name, column) for column in self.contract.columns if column.name != KEY)

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """(name, SQL type) of each feature."""
        return tuple((feature.name, feature.sql_type) for feature in self.features)

    @cached_property
    def definition(self) -> str:
        """A hash of what the features mean: SQL without its comments and layout, names and types. A model may read only these."""
        return code_version(self.sql, self.columns)

    @property
    def code_version(self) -> str:
        """A hash of what the values depend on: the SQL, and the names and types of the contract."""
        return _digest([self.name, self.inputs, self.sql, self.columns])


def _feature(family: str, column: ColumnSpec) -> FeatureSpec:
    kinds: dict[str, Kind] = {"str": "category", "bool": "boolean"}
    return FeatureSpec(
        name=column.name,
        family=family,
        unit=column.unit,
        kind=kinds.get(column.type, "numeric"),
        sql_type=column.sql_type,
        nullable=column.nullable,
        description=column.description,
        minimum=column.minimum,
        maximum=column.maximum,
        known_at=str(column.metadata.get("known_at", "")),
    )


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


FAMILIES: dict[str, Family] = {
    name: Family(name, inputs, FEATURES[name], most_touched=0 if name == "application" else MOST_TOUCHED)
    for name, inputs in {
        "application": APPLICATION_TABLES,
        "bureau": ("bureau", "bureau_balance"),
        "previous_application": ("previous_application",),
        "installments": ("installments_payments",),
        "credit_card": ("credit_card_balance",),
        "pos_cash": ("pos_cash_balance",),
    }.items()
}

HISTORY_FAMILIES: tuple[str, ...] = tuple(name for name in FAMILIES if name != "application")
PRESENCE: dict[str, str] = {f"applicant__has_{name}": name for name in HISTORY_FAMILIES}


def applicant_features() -> tuple[FeatureSpec, ...]:
    """Return every feature of the joined table, in its column order: each family's, then whether there is a history."""
    return tuple(_applicant_features())


def _applicant_features() -> Iterator[FeatureSpec]:
    owner = {feature.name: family.name for family in FAMILIES.values() for feature in family.features}
    for column in APPLICANT.columns:
        if column.name != KEY:
            yield _feature(owner.get(column.name, "applicant"), column)


def applicant_code_version() -> str:
    """Return a hash of what the join depends on: the names and types of its columns."""
    return _digest([(column.name, column.sql_type) for column in APPLICANT.columns])
