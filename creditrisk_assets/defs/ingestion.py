"""Stage 1: raw tables: taken in from their feeds, typed, hashed, checked against their contract before they are published.

What belongs here: one asset per raw table, and its quarantine. What does not: the feeds as observed (`feeds` beside this module), every
step itself (`creditrisk_assets.ingestion`, `creditrisk_assets.contracts`).
"""

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from creditrisk_assets.contracts import relaxations
from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.quarantine import CONTRACT as QUARANTINE
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.report import ContractReport, Profile
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Seen, Work, asset_key, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes, relaxed
from creditrisk_assets.defs.feeds import DATA_AGE, age_of, age_outcome, feed_observation
from creditrisk_assets.defs.vocabulary import OWNERS, VERIFIED_NIGHTLY, Describe, feed_key, quarantine_key, raw_key
from creditrisk_assets.ingestion import corrections, quarantine, reader, schema_change, table_file
from creditrisk_assets.ingestion.configuration import DEFAULT_BUDGET
from creditrisk_assets.ingestion.connector import IngestionError
from creditrisk_assets.ingestion.feeds import BASE, Feed
from creditrisk_assets.ingestion.landing import land, require_unchanged, sweep
from creditrisk_assets.ingestion.quarantine import Settled
from creditrisk_assets.ingestion.schema_change import SchemaChange
from creditrisk_assets.ingestion.sources import normal_source, source_text
from creditrisk_assets.ingestion.table_file import Schema, TableFile
from creditrisk_assets.lake import Lake, LakeError, Version, write_atomically

SCHEMA = {"schema": "The file delivers every declared column; one that is not declared is left out and told of."}
READING = "reading"  # directory inside a draft for what is only needed while it is made


def raw_artefact(source: SourceContract) -> Artefact:
    """Describe the asset of one raw table."""
    parents = tuple(raw_key(table) for table in source.parents)
    grain, _, what = source.description.removeprefix("Grain: ").partition(" Source: ")
    return Artefact(
        key=raw_key(source.table),
        group="ingestion",
        kinds=frozenset({"duckdb", "parquet"}),
        describe=Describe(
            what=f"{what.partition('.csv. ')[2] or what} As delivered: typed once, otherwise untouched.",
            grain=grain,
            built_from=f"`{feed_key(source.table)}`: `{source.stem}` as .csv, .gz, .zst, .zip or .parquet, and its appended batches",
            known_at="the application day; every day and month is relative to it",
            consumed_by="the feature families that name it as input",
            fails_when=(
                "the file is missing, damaged or of another shape, a rule on the whole table does not hold, or more rows than its budget "
                f"break a rule on rows (fewer go to `{quarantine_key(source.table)}`); then the last good version stays"
            ),
            source="creditrisk_assets/ingestion/reader.py",
        ),
        code_version=code_version(source.model, reader, quarantine, table_file),
        make=lambda work: _make(source, work),
        show=_show,
        deps=parents,
        feeds=(feed_key(source.table),),
        checks=SCHEMA | CONTRACT | DATA_AGE,
        advisory=frozenset(DATA_AGE),
        also_from=lambda settings, _lake: {
            **relaxed(settings, source),
            **corrections.fingerprint(settings.root, source.table),
        },
        observe=lambda context: _observe(source, context),
        today=_today,
        export=lambda settings, lake, _version: write_ingestion_summary(lake, settings.reports),
        columns=schema_of(source),
    )


def _observe(source: SourceContract, context: dg.AssetExecutionContext) -> Seen:
    """Look at the feed, once for this run, and record what was seen."""
    feed: Feed = context.resources.platform.feeds.look(source)
    observation = feed_observation(feed)
    context.log_event(observation)
    # Dagster noted the feed's version before this step began; it must look again, or the table would be shown as out of date
    context.get_step_execution_context().wipe_input_asset_version_info(observation.asset_key)
    return Seen({feed_key(source.table): feed.version, **_budget(feed)}, feed)


def _budget(feed: Feed) -> Mapping[str, str]:
    """Fingerprint the budget, since a lower one may forbid what was published; nothing when it is the default."""
    budget = feed.entry.quarantine_budget
    return {} if budget == DEFAULT_BUDGET else {"quarantine_budget": str(budget)}


def _make(source: SourceContract, work: Work) -> Made:
    feed: Feed = work.seen
    reading = work.draft.path / READING
    reading.mkdir()
    before: Mapping[str, Any] = {}
    with contextlib.suppress(LakeError):  # lost or damaged: read as for the first time
        if (last := work.lake.current(work.draft.key)) is not None:
            before = last.manifest.metadata["facts"]
    accepted = {batch: Schema.from_json(columns) for batch, columns in before.get("schemas", {}).items()}
    with work.connection() as con, contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, reading, ignore_errors=True)
        files = [land(feed, part, work.settings.landing, reading, work.context.log.info) for part in feed.parts]
        schemas = [table_file.delivered_schema(con, file) for file in files]
        changes = [
            schema_change.classify(accepted.get(file.batch_id, accepted.get(BASE)), schema, source)
            for file, schema in zip(files, schemas, strict=True)
        ]
        schema = _schema_outcome(files, changes, source)
        if schema.blocks:
            return Made({}, (schema,))
        drawn = work.context.resources.platform.feeds.drawn(source)
        identity = f"{feed.source} {drawn}" if drawn else feed.source
        baseline = Profile.from_dict(before["profile"]) if before.get("source") == identity else None
        read = list(_read(con, work.settings.root, source, files, schemas, reading))
        require_unchanged(feed)
        settled, set_aside = _settle(con, source, work, read, baseline)
    sweep(feed, work.settings.landing)
    facts = {
        "rows": settled.accounting.published,
        "source": identity,
        "synthetic": drawn is not None,
        "file": feed.parts[0].address,
        "source_bytes": sum(part.read.source_bytes for part in read),
        "source_sha256": read[0].read.sha256,
        "as_at": feed.as_at.isoformat() if feed.as_at else None,
        "batches": _batches(feed, read, before),
        "schemas": {file.batch_id: schema.to_json() for file, schema in zip(files, schemas, strict=True)},
        "accounting": settled.accounting.to_dict(),
        "quarantine": set_aside.version,
        "profile": settled.report.profile.to_dict(),
    }
    return Made(facts, (schema, *contract_outcomes(settled.report)))


def _read(
    con: duckdb.DuckDBPyConnection,
    home: Path,
    source: SourceContract,
    files: Sequence[TableFile],
    schemas: Sequence[Schema],
    reading: Path,
) -> Iterator[quarantine.ReadPart]:
    for number, (file, schema) in enumerate(zip(files, schemas, strict=True)):
        typed, rejects = reading / f"{number}.parquet", reading / f"{number}-rejects.parquet"
        corrected = corrections.corrections_of(home, file)
        read = reader.read_table(con, file, schema, source, out=typed, rejects=rejects, corrections=corrected)
        yield quarantine.ReadPart(file, read, typed, rejects)


def _settle(
    con: duckdb.DuckDBPyConnection,
    source: SourceContract,
    work: Work,
    read: Sequence[quarantine.ReadPart],
    baseline: Profile | None,
) -> tuple[Settled, Version]:
    """Check the table, set aside what breaks a rule on rows, and publish the quarantine, whatever becomes of the table."""
    judge = partial(
        _judge,
        con,
        source,
        baseline=baseline,
        parents={key.removeprefix("raw/"): parquet(version.data) for key, version in work.inputs.items()},
        relaxations=relaxations.load(work.settings.relaxations),
    )
    budget = work.seen.entry.quarantine_budget
    with work.lake.draft(quarantine_key(source.table)) as draft:
        settled = quarantine.settle(con, read, source, budget, judge, published=work.draft.data, quarantined=draft.data)
        if problems := check(con, parquet(draft.data), QUARANTINE).failures:
            raise IngestionError(
                f"{draft.key}: {problems[0].message(draft.key)}; this is a defect, nothing was published"
            )
        accounting = settled.accounting.to_dict()
        published = work.lake.publish(
            draft,
            code_version=code_version(quarantine),
            inputs={feed_key(source.table): work.seen.version},
            metadata={
                "facts": {
                    "rows": settled.accounting.quarantined,
                    "source": normal_source(source_text(work.settings)),
                    **accounting,
                },
                "checks": [],
                "usage": {"seconds": 0.0, "peak_memory_bytes": 0},
            },
        )
    if not settled.report.passed:
        _report_quarantine(work.context, work.lake, source.table)
    return settled, published


def _judge(con: duckdb.DuckDBPyConnection, source: SourceContract, relation: str, **given: Any) -> ContractReport:
    return check(con, relation, source, **given)


def _schema_outcome(
    files: Sequence[TableFile], changes: Sequence[SchemaChange], source: SourceContract
) -> CheckOutcome:
    """Say how the delivered columns differ from those declared and those accepted last."""
    told = [(file, change) for file, change in zip(files, changes, strict=True) if change.kind != "none"]
    if not told:
        return CheckOutcome(
            "schema", passed=True, facts={"description": f"{len(source.columns)} columns, as accepted last"}
        )
    breaking = any(change.kind == "breaking" for _, change in told)
    return CheckOutcome(
        "schema",
        passed=False,
        facts={
            "description": "; ".join(change.message(file, source) for file, change in told),
            "diff": "\n\n".join(change.diff for _, change in told),
        },
        severity="ERROR" if breaking else "WARN",
    )


def _batches(feed: Feed, read: Sequence[quarantine.ReadPart], before: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List the files the table is made of; one that arrived after a later one was taken in is late."""
    known = {batch["batch_id"] for batch in before.get("batches", ())}
    newest = max((batch["as_at"] or "" for batch in before.get("batches", ())), default="")
    listed = []
    for part, piece in zip(feed.parts, read, strict=True):
        as_at = part.as_at.astimezone(UTC).isoformat() if part.as_at else None
        listed.append(
            {
                "batch_id": part.batch_id,
                "as_at": as_at,
                "address": part.address,
                "sha256": piece.read.sha256,
                "rows_read": piece.read.rows + piece.read.rejected,
                "late": bool(known) and part.batch_id not in known and (as_at or "") < newest,
            }
        )
    return listed


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    accounting = facts["accounting"]
    return {
        "source_file": dg.MetadataValue.text(facts["file"]),
        "source_mb": dg.MetadataValue.float(round(facts["source_bytes"] / 1e6, 3)),
        "source_sha256": dg.MetadataValue.text(facts["source_sha256"]),
        "as_at": dg.MetadataValue.text(facts["as_at"] or "unknown"),
        "rows_read": dg.MetadataValue.int(accounting["read"]),
        "rows_quarantined": dg.MetadataValue.int(accounting["quarantined"]),
        "batches": table_of(facts["batches"]),
    }


def _today(context: dg.AssetExecutionContext, version: Version, feed: Feed) -> Sequence[CheckOutcome]:
    """Judge the age of the data anew; the quarantine is the table's own again, also after a delivery that was refused."""
    platform = context.resources.platform
    platform.lake.restore(quarantine_key(feed.table), version.manifest.metadata["facts"]["quarantine"])
    _report_quarantine(context, platform.lake, feed.table)
    if late := [batch["batch_id"] for batch in version.manifest.metadata["facts"]["batches"] if batch["late"]]:
        context.log.info(f"raw/{feed.table}: late batches {', '.join(late)}: what depends on this table is made anew")
    return (age_outcome(age_of(feed, datetime.now(UTC))),)


def _report_quarantine(context: dg.AssetExecutionContext, lake: Lake, table: str) -> None:
    """Record the newest quarantine in the graph."""
    with contextlib.suppress(LakeError):  # damaged: the table is made anew with it when its own files are damaged too
        if (version := lake.current(quarantine_key(table))) is not None:
            facts = version.manifest.metadata["facts"]
            rules = [{"rule": rule, "rows": rows} for rule, rows in facts["rules"].items()]
            context.log_event(
                dg.AssetMaterialization(
                    asset_key=asset_key(quarantine_key(table)),
                    metadata={
                        "dagster/row_count": dg.MetadataValue.int(facts["quarantined"]),
                        "rows_read": dg.MetadataValue.int(facts["read"]),
                        "budget": dg.MetadataValue.float(facts["budget"]),
                        "path": dg.MetadataValue.path(str(version.path)),
                        "list_them": dg.MetadataValue.text(f"creditrisk quarantine list {table}"),
                        **({"rules": table_of(rules)} if rules else {}),
                    },
                    tags={"dagster/data_version": version.version},
                )
            )


def quarantine_spec(source: SourceContract) -> dg.AssetSpec:
    """Describe the quarantine of a raw table, which the table's own run writes."""
    describe = Describe(
        what=f"Rows of {source.title.lower()} that break a rule on rows, kept from being published, with rule, place and text.",
        grain="one row per quarantined row",
        built_from=f"`{feed_key(source.table)}`, in the run of `{raw_key(source.table)}`",
        known_at="when its raw table is taken in",
        consumed_by="data stewards: `creditrisk quarantine list`, `creditrisk quarantine replay`",
        fails_when="never by itself; past the table's budget the raw table is not published",
        source="creditrisk_assets/ingestion/quarantine.py",
    )
    return dg.AssetSpec(
        asset_key(quarantine_key(source.table)),
        deps=[asset_key(feed_key(source.table))],
        description=str(describe),
        group_name="ingestion",
        owners=[OWNERS["ingestion"]],
        kinds={"duckdb", "parquet"},
        freshness_policy=VERIFIED_NIGHTLY,
        metadata={"dagster/column_schema": schema_of(QUARANTINE)},
    )


def write_ingestion_summary(lake: Lake, reports: Path) -> None:
    """Export what was ingested (source, size, hash, rows, seconds per table) for auditors."""
    tables = {}
    for table in SOURCES:
        with contextlib.suppress(LakeError):  # a damaged table is named, and rebuilt, by its own asset
            version = lake.current(raw_key(table))
            if version is None:
                continue
            facts, usage = version.manifest.metadata["facts"], version.manifest.metadata["usage"]
            tables[table] = {
                "file": facts["file"],
                "bytes": facts["source_bytes"],
                "sha256": facts["source_sha256"],
                "rows": facts["rows"],
                "quarantined": facts["accounting"]["quarantined"],
                "batches": facts["batches"],
                "seconds": round(usage["seconds"], 3),
                "ingested_at": version.manifest.created_at,
            }
    write_atomically(reports / "ingestion_summary.json", json.dumps({"tables": tables}, indent=1))


ARTEFACTS = tuple(raw_artefact(source) for source in SOURCES.values())
QUARANTINES = tuple(quarantine_spec(source) for source in SOURCES.values())
