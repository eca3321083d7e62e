"""The check that batch and request compute the same features, on live rows, and its schedule."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field

from creditrisk_assets.defs.artefact import asset_key, table_of
from creditrisk_assets.defs.features import APPLICANT_KEY, feature_key
from creditrisk_assets.defs.vocabulary import raw_key
from creditrisk_assets.features.families import FAMILIES
from creditrisk_assets.features.parity import Parity, compare
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_assets.resources.duckdb import EmbeddedDuckDB
from creditrisk_assets.resources.platform import Platform

CHECK = "batch_equals_request"
NIGHTLY_APPLICANTS = 10_000
SHOWN = 20


class ParityConfig(dg.Config):
    """How much one run of the check compares."""

    applicants: int = Field(200, ge=1, description="Applicants; the schedule compares 10,000.")


class ParityError(RuntimeError):
    """The comparison cannot be made; the message says why."""


@dg.asset_check(
    asset=asset_key(APPLICANT_KEY),
    name=CHECK,
    description="The request path, given an applicant's raw rows, computes the features of the joined table, to 1e-9.",
    required_resource_keys={"platform", "duckdb"},
)
def batch_equals_request(context: dg.AssetCheckExecutionContext, config: ParityConfig) -> dg.AssetCheckResult:
    """Compare live applicants; name features, counts and the worst difference, never an applicant or a value."""
    platform: Platform = context.resources.platform
    duck: EmbeddedDuckDB = context.resources.duckdb
    try:
        joined, tables = sources(platform.lake)
        with duck.get_connection() as con:
            paths = {name: version.data for name, version in tables.items()}
            found = compare(con, render_plan(), paths, joined.data, applicants=config.applicants, seed=joined.version)
    except (LakeError, ParityError) as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    return dg.AssetCheckResult(passed=found.holds, description=words(found), metadata=facts(found))


def sources(lake: Lake) -> tuple[Version, dict[str, Version]]:
    """Find the joined table and the raw tables that its families were made from, whatever was ingested since.

    Raises
    ------
    LakeError
        One is missing.
    ParityError
        A family was built by another definition than this release's.
    """
    joined = lake.require(APPLICANT_KEY)
    tables: dict[str, Version] = {}
    for name, family in FAMILIES.items():
        version = lake.version(feature_key(name), joined.manifest.inputs[feature_key(name)])
        if version.manifest.metadata["facts"]["definition"] != family.definition:
            raise ParityError(
                f"features/{name} was built by another definition than this release's; run `creditrisk run`"
            )
        for table in family.inputs:
            tables[table] = lake.version(raw_key(table), version.manifest.inputs[raw_key(table)])
    return joined, tables


def words(found: Parity) -> str:
    """Say what comparing came to."""
    compared = f"{found.features} features of {found.applicants:,} applicants compared"
    if found.holds:
        return f"{compared}: all equal"
    named = "; ".join(f"{d.feature} in {d.applicants:,} applicants by {d.worst:.3g}" for d in found.differences[:SHOWN])
    return f"{compared}: {len(found.differences)} features differ: {named}"


def facts(found: Parity) -> Mapping[str, Any]:
    """Render as metadata."""
    metadata: dict[str, Any] = {
        "applicants": found.applicants,
        "features": found.features,
        "differing": len(found.differences),
    }
    if found.differences:
        rows = [
            {"feature": d.feature, "applicants": d.applicants, "worst": f"{d.worst:.3g}"}
            for d in found.differences[:SHOWN]
        ]
        metadata["worst"] = table_of(rows)
    return metadata


check_parity = dg.define_asset_job(
    "check_parity",
    selection=dg.AssetSelection.checks(batch_equals_request),
    config={"ops": {f"{APPLICANT_KEY.replace('/', '__')}_{CHECK}": {"config": {"applicants": NIGHTLY_APPLICANTS}}}},
    description="Batch against request on 10,000 live applicants.",
)
nightly_check_parity = dg.ScheduleDefinition(
    name="nightly_check_parity",
    job=check_parity,
    cron_schedule="0 5 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every night at five, after the tables are renewed: batch against request.",
)

CHECKS = [batch_equals_request]
JOBS = [check_parity]
SCHEDULES = [nightly_check_parity]
