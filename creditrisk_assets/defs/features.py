"""Stage 2: the feature families and their join to one row per applicant."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import duckdb

from creditrisk_assets.contracts import relaxations
from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.features import APPLICANT
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render import spark as spark_sql
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.spark import SparkTables
from creditrisk_assets.contracts.table import TableContract
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, asset_key
from creditrisk_assets.defs.columns import lineage_of, schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes, relaxed
from creditrisk_assets.defs.vocabulary import Describe, raw_key
from creditrisk_assets.features import as_of, engine, files, incremental, lineage, spark
from creditrisk_assets.features.families import FAMILIES, PRESENCE, Family, applicant_code_version
from creditrisk_assets.features.statement import KEY
from creditrisk_assets.lake import LakeError, Version
from creditrisk_assets.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ONE_ROW = {"one_row_per_applicant": "No applicant has two rows, and none is without an id."}
EVERY_APPLICATION = {"every_application_kept": "The join keeps every application, with or without history."}
NO_FUTURE = {"no_future_events": "No event that the family reads is dated after the application day."}
APPLICANT_KEY = "features/applicant"


def feature_key(family: str) -> str:
    """Return the lake key of a feature family."""
    return f"features/{family}"


def family_artefact(family: Family) -> Artefact:
    """Describe the asset of one feature family."""
    inputs = tuple(raw_key(table) for table in family.inputs)
    code = code_version(family.code_version, family.contract.model, engine, files, as_of, incremental)

    def also_from(settings: Settings) -> Mapping[str, str]:
        return {**relaxed(settings, family.contract), **_computed_by(settings)}

    def make(work: Work) -> Made:
        tables = {table: work.inputs[raw_key(table)].data for table in family.inputs}
        with work.connection() as con, spark.chosen_session(work.settings) as session:
            if session is None:
                last, why = _last(work, family, code, also_from(work.settings))
                rows, built = _build(con, family, last, tables, work.draft.data, why)
            else:
                rows, built = spark.build_family(session, con, family, tables, work.draft.data), "whole: by Spark"
            work.context.log.info(f"{work.draft.key}: built {built}")
            facts = {"rows": rows, "features": len(family.features), "definition": family.definition, "built": built}
            checks = _checks(con, session, work, family.contract, rows)
            return Made(facts, (*checks, _no_future_events(con, family, tables)))

    return Artefact(
        key=feature_key(family.name),
        group="features",
        kinds=frozenset({"duckdb", "parquet"}),
        describe=Describe(
            what=f"{len(family.features)} features from {', '.join(family.inputs)}.",
            grain=family.grain,
            built_from=", ".join(f"`{key}`" for key in inputs),
            known_at="the application day: only rows dated before it are read",
            consumed_by="`features/applicant`, and the scoring service for known applicants",
            fails_when="a record is dated after the application, a feature leaves its type or bounds, or an applicant has two rows",
            source=f"creditrisk_assets/features/sql/{family.name}.sql",
        ),
        code_version=code,
        make=make,
        show=lambda version: {
            "built": dg.MetadataValue.text(version.manifest.metadata["facts"]["built"]),
            "dagster/column_lineage": lineage_of(lineage.lineage(family), layer="raw"),
        },
        deps=inputs,
        checks=CONTRACT | ONE_ROW | NO_FUTURE,
        also_from=lambda settings, _lake: also_from(settings),
        columns=schema_of(family.contract),
    )


def _last(work: Work, family: Family, code: str, also_from: Mapping[str, str]) -> tuple[incremental.Last | None, str]:
    """Find the last version and the raw tables it was built from, if only raw tables changed and all files are intact; else say why."""
    raw = {table: raw_key(table) for table in family.inputs}
    version, why = work.lake.reusable(work.draft.key, code_version=code, inputs=also_from, but=raw.values())
    if version is None:
        return None, why
    tables = {}
    for table, key in raw.items():
        try:
            before = work.lake.version(key, version.manifest.inputs[key])
            lost = before.damage()
        except LakeError:
            lost = "manifest"
        if lost is not None:
            return None, f"{key} is not there any more as it was read last ({lost})"
        tables[table] = before.data
    return incremental.Last(version.data, tables), why


def _build(
    con: duckdb.DuckDBPyConnection,
    family: Family,
    last: incremental.Last | None,
    tables: Mapping[str, Path],
    out: Path,
    why: str,
) -> tuple[int, str]:
    """Build a family from its last version, or whole; return its rows and which it was, in words."""
    if last is not None:
        try:
            update = incremental.update_family(con, family, last, tables, out)
            return update.rows, str(update)
        except incremental.IncrementalError as error:
            why = str(error)
    return engine.build_family(con, family, tables, out), f"whole: {why}"


def _computed_by(settings: Settings) -> Mapping[str, str]:
    """Fingerprint the engine and its release: another one's values may differ in their last digits, so a change of it is one of inputs."""
    release = code_version(spark) if settings.engine == "spark" else duckdb.__version__
    return {"engine": f"{settings.engine} {release}"}


def _no_future_events(con: duckdb.DuckDBPyConnection, family: Family, tables: Mapping[str, Path]) -> CheckOutcome:
    found = as_of.future_records(con, family.inputs, tables)
    words = ", ".join(f"{each.table}.{each.column} in {each.records:,} records" for each in found)
    facts: dict[str, object] = {"description": f"after the application: {words or 'none'}"}
    if found:
        facts["future_records"] = [vars(each) | {"sample_keys": " | ".join(each.sample_keys)} for each in found]
    return CheckOutcome("no_future_events", passed=not found, facts=facts)


def _checks(
    con: duckdb.DuckDBPyConnection,
    session: SparkSession | None,
    work: Work,
    contract: TableContract,
    rows: int,
    values_of: Collection[str] | None = None,
) -> tuple[CheckOutcome, ...]:
    relation = parquet(work.draft.data)
    known = relaxations.load(work.settings.relaxations)
    if session is None:
        report = check(con, relation, contract, relaxations=known, values_of=values_of)
    else:
        report = check(SparkTables(session), spark_sql.parquet(work.draft.data), contract, relaxations=known)
    found = con.execute(f"SELECT count(DISTINCT {KEY}) FROM {relation}").fetchone()  # noqa: S608 -- quoted path
    distinct = int(found[0]) if found else 0
    one_row = CheckOutcome(
        "one_row_per_applicant",
        passed=distinct == rows,
        facts={"description": f"{rows:,} rows, {distinct:,} applicants", "rows": rows, "applicants": distinct},
    )
    return (*contract_outcomes(report), one_row)


def _make_applicant(work: Work) -> Made:
    families = {name: work.inputs[feature_key(name)].data for name in FAMILIES}
    applications = work.inputs[feature_key("application")].manifest.metadata["facts"]["rows"]
    rows = files.join_applicant(families, work.draft.data)
    with work.connection() as con:  # the families' values were checked where they were computed
        checks = _checks(con, None, work, APPLICANT, rows, values_of={KEY, *PRESENCE})
    kept = CheckOutcome(
        "every_application_kept",
        passed=rows == applications,
        facts={
            "description": f"{applications:,} applications, {rows:,} rows",
            "applications": applications,
            "rows": rows,
        },
    )
    return Made({"rows": rows, "features": len(APPLICANT.columns) - 1}, (*checks, kept))


def _show_applicant(_version: Version) -> Mapping[str, dg.MetadataValue]:
    columns = {
        feature.name: [dg.TableColumnDep(asset_key=asset_key(feature_key(family.name)), column_name=feature.name)]
        for family in FAMILIES.values()
        for feature in family.features
    }
    return {"dagster/column_lineage": dg.MetadataValue.column_lineage(dg.TableColumnLineage(columns))}


APPLICANT_ARTEFACT = Artefact(
    key=APPLICANT_KEY,
    group="features",
    kinds=frozenset({"duckdb", "parquet"}),
    describe=Describe(
        what="Every feature of every applicant, side by side.",
        grain="one row per SK_ID_CURR, training and scoring portfolio alike",
        built_from="all feature families",
        known_at="the application day",
        consumed_by="the split, batch scoring, drift",
        fails_when="an application is lost or doubled by the join, or a column leaves its contract",
        source="creditrisk_assets/features/files.py",
    ),
    code_version=code_version(applicant_code_version(), APPLICANT.model, files),
    make=_make_applicant,
    show=_show_applicant,
    deps=tuple(feature_key(name) for name in FAMILIES),
    checks=CONTRACT | ONE_ROW | EVERY_APPLICATION,
    also_from=lambda settings, _lake: relaxed(settings, APPLICANT),
    columns=schema_of(APPLICANT),
)

ARTEFACTS = (*(family_artefact(family) for family in FAMILIES.values()), APPLICANT_ARTEFACT)
