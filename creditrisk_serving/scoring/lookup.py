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

from creditrisk_assets.lake import Lake, LakeError
from creditrisk_serving.errors import NotReadyError

KEY = "sk_id_curr"


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
        columns = ", ".join(f'"{name}"' for name in (KEY, *table.columns))
        wanted = ", ".join(str(int(applicant)) for applicant in sorted(set(applicants)))
        # Ids as constants, not as a parameter: only then are row groups and vectors without them skipped unread.
        query = f"select {columns} from read_parquet(?) where {KEY} in ({wanted})"  # noqa: S608 # integers, known names
        try:
            rows = self.connection.cursor().execute(query, [str(table.path)]).fetchall()
        except duckdb.Error as error:
            raise NotReadyError(
                f"features/{family} cannot be read; run `creditrisk run` to publish it again"
            ) from error
        return {row[0]: dict(zip(table.columns, row[1:], strict=True)) for row in rows}


def open_features(lake: Lake, plan: Mapping[str, Any]) -> PublishedFeatures:
    """Pin the published version of every family of a plan.

    Raises
    ------
    LookupUnavailableError
        A family was never published, is damaged, or lacks a feature of the plan; all of them are named.
    """
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("set parquet_metadata_cache = true")
    families: dict[str, Family] = {}
    reasons: list[str] = []
    for name, family in plan["families"].items():
        columns = tuple(column for column, _ in family["columns"])
        try:
            version = lake.require(f"features/{name}")
            _check(connection, name, version.data, columns)
        except (LakeError, LookupUnavailableError) as error:
            reasons.append(str(error))
            continue
        families[name] = Family(name, version.version, version.data, columns)
    if reasons:
        raise LookupUnavailableError("; ".join(reasons))
    return PublishedFeatures(families, connection)


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


def _check(connection: duckdb.DuckDBPyConnection, name: str, path: Path, columns: Sequence[str]) -> None:
    try:
        described = connection.execute("select * from read_parquet(?) limit 0", [str(path)]).description
    except duckdb.Error as error:
        raise LookupUnavailableError(f"features/{name}: {path.name} cannot be read; run `creditrisk run`") from error
    present = {column[0] for column in described or ()}
    if missing := [column for column in (KEY, *columns) if column not in present]:
        raise LookupUnavailableError(
            f"features/{name}: {len(missing)} columns of the model's plan are missing, among them"
            f" {', '.join(missing[:3])}; publish a model trained on these features, or build the features the model knows"
        )
