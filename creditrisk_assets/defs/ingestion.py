"""Stage 1: raw tables, read once, typed, hashed, checked against their contract before they are published."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import dagster as dg

from creditrisk_assets.contracts import relaxations
from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.report import Profile
from creditrisk_assets.contracts.source import SourceContract
from creditrisk_assets.contracts.sources import SOURCES
from creditrisk_assets.contracts.table import Exclusion
from creditrisk_assets.defs.artefact import Artefact, Made, Work
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes, relaxed
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.ingestion import reader
from creditrisk_assets.ingestion.files import find_table, require_free_space, unpack
from creditrisk_assets.ingestion.sources import is_sample, source_directory, source_identity
from creditrisk_assets.lake import Lake, LakeError, Version, write_atomically
from creditrisk_assets.settings import Settings

SPACE_FACTOR = 2  # the unpacked table and its Parquet, generously


def raw_key(table: str) -> str:
    """Return the lake key of a raw table."""
    return f"raw/{table}"


def raw_artefact(source: SourceContract) -> Artefact:
    """Describe the asset of one raw table."""
    parents = tuple(raw_key(table) for table in _related_tables(source))
    grain, _, what = source.description.removeprefix("Grain: ").partition(" Source: ")

    def make(work: Work) -> Made:
        directory = source_directory(work.settings)
        file = find_table(directory, source.table, source.stem)
        require_free_space(
            work.draft.path, SPACE_FACTOR * file.path.stat().st_size, f"{source.table}: reading {file.path.name}"
        )
        with work.connection() as con:
            plain = unpack(file, work.draft.path)
            read = reader.read_table(con, file, plain, source, work.draft.data)
            if plain != file.path:
                plain.unlink()
            last = work.lake.current(work.draft.key)
            same_source = last is not None and last.manifest.metadata["facts"]["source"] == source_identity(directory)
            baseline = Profile.from_dict(last.manifest.metadata["facts"]["profile"]) if last and same_source else None
            report = check(
                con,
                parquet(work.draft.data),
                source,
                baseline=baseline,
                parents={key.removeprefix("raw/"): parquet(work.inputs[key].data) for key in parents},
                relaxations=relaxations.load(work.settings.relaxations),
            )
        return Made(
            facts={
                "rows": read.rows,
                "source": source_identity(directory),
                "synthetic": is_sample(directory),
                "file": str(file.path),
                "source_bytes": read.source_bytes,
                "source_sha256": read.sha256,
                "profile": report.profile.to_dict(),
            },
            checks=contract_outcomes(report),
            version=read.sha256,
        )

    return Artefact(
        key=raw_key(source.table),
        group="ingestion",
        kinds=frozenset({"duckdb", "parquet"}),
        describe=Describe(
            what=f"{what.partition('.csv. ')[2] or what} As delivered: typed once, otherwise untouched.",
            grain=grain,
            built_from=f"`{source.stem}.csv` (plain, .gz, .zip) or .parquet in the source directory",
            known_at="the application day; every day and month is relative to it",
            consumed_by="the feature families that name it as input",
            fails_when="the file is missing, damaged or of another shape, or its contract does not hold; then the last good version stays",
            source="creditrisk_assets/ingestion/reader.py",
        ),
        code_version=code_version(source.model, reader),
        make=make,
        show=_show,
        deps=parents,
        checks=CONTRACT,
        also_from=lambda settings, _lake: _fingerprint(settings, source),
        export=lambda settings, lake, _version: write_ingestion_summary(lake, settings.reports),
        columns=schema_of(source),
    )


def _fingerprint(settings: Settings, source: SourceContract) -> Mapping[str, str]:
    """Name what the source looks like without reading it, and the relaxations in force."""
    file = find_table(source_directory(settings), source.table, source.stem)
    stat = file.path.stat()
    return {"source": f"{file.path}:{stat.st_size}:{stat.st_mtime_ns}", **relaxed(settings, source)}


def _related_tables(source: SourceContract) -> tuple[str, ...]:
    """List the tables its relations are checked against."""
    tables = [
        table for tie in source.relations for table, _ in ([tie.other] if isinstance(tie, Exclusion) else tie.parents)
    ]
    return tuple(dict.fromkeys(tables))


def _show(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    return {
        "source_file": dg.MetadataValue.path(facts["file"]),
        "source_mb": dg.MetadataValue.float(round(facts["source_bytes"] / 1e6, 3)),
        "source_sha256": dg.MetadataValue.text(facts["source_sha256"]),
    }


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
                "seconds": round(usage["seconds"], 3),
                "ingested_at": version.manifest.created_at,
            }
    write_atomically(reports / "ingestion_summary.json", json.dumps({"tables": tables}, indent=1))


ARTEFACTS = tuple(raw_artefact(source) for source in SOURCES.values())
