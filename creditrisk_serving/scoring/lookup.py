"""Features of known applicants, looked up in the lake's published Parquet.

What belongs here: pinning a version of each feature family, checking that it fits the model, reading applicants'
rows. What does not: how features are made (`creditrisk_assets.features`). An online store takes this module's place
in time; its interface is `find`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from creditrisk_assets.features.statement import KEY, literal, quoted
from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_serving.errors import NotReadyError


class LookupUnavailableError(RuntimeError):
    """Published features are missing, damaged, or not those the model was trained on."""


@dataclass(frozen=True)
class Family:
    """One feature family as published."""

    name: str
    version: str
    path: Path
    columns: tuple[str, ...]


@dataclass(frozen=True)
class PublishedFeatures:
    """One version of every family, pinned; safe to share between threads."""

    families: Mapping[str, Family]
    connection: duckdb.DuckDBPyConnection = field(repr=False, compare=False)

    @property
    def versions(self) -> dict[str, str]:
        """The pinned versions, by family."""
        return {name: family.version for name, family in self.families.items()}

    def find(self, family: str, applicants: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Look applicants up in one family.

        Returns
        -------
        dict
            Applicant id -> features, for those it has.

        Raises
        ------
        NotReadyError
            The table cannot be read any more.
        """
        if not applicants:
            return {}
        table = self.families[family]
        columns = ", ".join(quoted(name) for name in (KEY, *table.columns))
        wanted = ", ".join(str(int(applicant)) for applicant in sorted(set(applicants)))
        # Ids as constants, not as parameters: only then are row groups without them skipped unread. (And a Python parameter makes
        # DuckDB import pandas, if it is installed.)
        query = f"select {columns} from {_parquet(table.path)} where {KEY} in ({wanted})"  # noqa: S608 # integers, known names
        try:
            rows = self.connection.cursor().execute(query).fetchall()
        except duckdb.Error as error:
            raise NotReadyError(
                f"features/{family} cannot be read; run `creditrisk run` to publish it again"
            ) from error
        return {row[0]: dict(zip(table.columns, row[1:], strict=True)) for row in rows}


def wanted_columns(plan: Mapping[str, Any], model: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """List, by family of a plan, the features a model takes: a column more costs a request a tenth of a millisecond."""
    taken = set(model)
    return {
        name: tuple(column for column, _ in family["columns"] if column in taken)
        for name, family in plan["families"].items()
    }


def open_features(lake: Lake, wanted: Mapping[str, Sequence[str]], definitions: Mapping[str, str]) -> PublishedFeatures:
    """Pin the published version of every family.

    Parameters
    ----------
    lake
        Where families are published.
    wanted
        The features to look up, by family (`wanted_columns`).
    definitions
        What each family's features mean to the model (the plan's `definition`); features that mean something else are refused.

    Raises
    ------
    LookupUnavailableError
        A family was never published, is damaged, means something else or lacks a feature; all of them are named.
    """
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("set parquet_metadata_cache = true")
    families: dict[str, Family] = {}
    reasons: list[str] = []
    for name, columns in wanted.items():
        try:
            version = lake.require(f"features/{name}")
            check_definition(version, definitions[name])
            _check(connection, name, version.data, columns)
        except (LakeError, LookupUnavailableError) as error:
            reasons.append(str(error))
            continue
        families[name] = Family(name, version.version, version.data, tuple(columns))
    if reasons:
        raise LookupUnavailableError("; ".join(reasons))
    return PublishedFeatures(families, connection)


def check_definition(version: Version, definition: str) -> None:
    """Make sure that features mean what a model takes them to mean.

    Raises
    ------
    LookupUnavailableError
        They were built by another SQL than the one the model was trained on.
    """
    if version.manifest.metadata.get("facts", {}).get("definition") != definition:
        raise LookupUnavailableError(
            f"{version.manifest.key} was built by another definition than the champion's; run `creditrisk run`, and see "
            "registry/version for why a model trained on the new one is not champion"
        )


def current_versions(lake: Lake, families: Iterable[str]) -> dict[str, str | None]:
    """Read which version of each family is published now; None where there is none or its pointer is damaged."""
    found: dict[str, str | None] = {}
    for name in families:
        try:
            version = lake.current(f"features/{name}")
        except LakeError:
            version = None
        found[name] = None if version is None else version.version
    return found


def _parquet(path: Path) -> str:
    return f"read_parquet({literal(str(path))})"


def _check(connection: duckdb.DuckDBPyConnection, name: str, path: Path, columns: Sequence[str]) -> None:
    try:
        described = connection.execute(f"select * from {_parquet(path)} limit 0").description  # noqa: S608 # a quoted path
    except duckdb.Error as error:
        raise LookupUnavailableError(f"features/{name}: {path.name} cannot be read; run `creditrisk run`") from error
    present = {column[0] for column in described or ()}
    if missing := [column for column in (KEY, *columns) if column not in present]:
        raise LookupUnavailableError(
            f"features/{name}: {len(missing)} features of the model are missing, among them"
            f" {', '.join(missing[:3])}; publish a model trained on these features, or build the features the model knows"
        )
