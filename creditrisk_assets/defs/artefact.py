"""How an asset becomes a version in the lake: reuse, make, check, publish, tell Dagster.

What belongs here: the one path every asset of the graph takes. What does not: what any of them computes (the plain packages), their
wiring (the stage modules beside this one).

An asset whose code and inputs are unchanged and whose files are intact is not made again; its last version is reported anew, which
renews its freshness. A version whose blocking check fails is not published and no materialization is recorded: the last good version
stays in use and the run fails.
"""

import base64
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb

from creditrisk_assets.defs.usage import Usage, measured
from creditrisk_assets.defs.vocabulary import FRESHNESS, LAUNCHED_BY_TAG, MONTHS, OWNERS, Describe, month_of
from creditrisk_assets.lake import Draft, Lake, LakeError, Version
from creditrisk_assets.resources.duckdb import EmbeddedDuckDB
from creditrisk_assets.resources.platform import Platform
from creditrisk_assets.settings import Settings

Json = Mapping[str, Any]
Events = Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]


@dataclass(frozen=True)
class CheckOutcome:
    """The answer of one check, as JSON values."""

    name: str
    passed: bool
    facts: Json = field(default_factory=dict)  # text for the UI under `description`, rows of a table under `table`
    severity: str = "ERROR"

    @property
    def blocks(self) -> bool:
        """Whether nothing may be published."""
        return not self.passed and self.severity == "ERROR"


@dataclass(frozen=True)
class Made:
    """What making a draft came to."""

    facts: Json
    checks: Sequence[CheckOutcome] = ()
    version: str | None = None  # by default the hash of the draft's files


@dataclass(frozen=True)
class Work:
    """What a maker is given."""

    context: dg.AssetExecutionContext
    settings: Settings
    lake: Lake
    inputs: Mapping[str, Version]
    draft: Draft
    seen: Any = None  # what the artefact's `observe` saw
    month: str = ""  # YYYY-MM, of a monthly artefact

    def connection(self) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Open a DuckDB connection limited by the settings."""
        resource: EmbeddedDuckDB = self.context.resources.duckdb
        return resource.get_connection()

    @property
    def launched_by(self) -> str:
        """Who launched the run."""
        return str(self.context.run.tags.get(LAUNCHED_BY_TAG) or self.settings.actor)


@dataclass(frozen=True)
class Seen:
    """What an artefact sees outside the graph at the start of a run."""

    fingerprints: Json = field(default_factory=dict)  # name -> text: a change makes the artefact anew
    value: Any = None


def _nothing(_context: dg.AssetExecutionContext) -> Seen:
    return Seen()


@dataclass(frozen=True)
class Artefact:
    """One asset of the graph.

    Attributes
    ----------
    key
        Lake and asset key, `layer/name`.
    make
        Fills the draft and says what it found.
    show
        Turns a published version into metadata for the UI; also used when the version is reused.
    deps
        Keys of the artefacts it is made from.
    uses
        Keys of the artefacts it is made from where they are published; it is made without them where they are not.
    same_month
        Keys of the monthly artefacts whose same month a monthly one is made from.
    every_month
        Keys of the monthly artefacts it is made from: all months of them that are published.
    monthly
        Whether there is one of it a month: a partition in Dagster, `layer/name/YYYY-MM` in the lake.
    after
        Keys it is ordered after without being made from them: a new version of theirs alone does not make it anew.
    checks
        Names and descriptions of its checks; `blocking` names those that keep it from being published.
    feeds
        Keys of the observed sources it is read from.
    also_from
        What else it depends on (a policy), as name -> fingerprint.
    observe
        Looks at what lies outside the graph, once per run; what it saw is handed to `make` and `today`.
    today
        Checks whose answer depends on the day, judged in every run, whether the version is made or reused.
    export
        Writes the named reports auditors ask for, from a published version.
    """

    key: str
    group: str
    kinds: frozenset[str]
    describe: Describe
    code_version: str
    make: Callable[[Work], Made]
    show: Callable[[Version], Mapping[str, dg.MetadataValue]] = lambda _: {}
    deps: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    same_month: tuple[str, ...] = ()
    every_month: tuple[str, ...] = ()
    monthly: bool = False
    after: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    checks: Mapping[str, str] = field(default_factory=dict)
    advisory: frozenset[str] = frozenset()
    also_from: Callable[[Settings, Lake], Mapping[str, str]] = lambda _settings, _lake: {}
    observe: Callable[[dg.AssetExecutionContext], Seen] = _nothing
    today: Callable[[dg.AssetExecutionContext, Version, Any], Sequence[CheckOutcome]] = (
        lambda _context, _version, _seen: ()
    )
    export: Callable[[Settings, Lake, Version], None] = lambda _settings, _lake, _version: None
    columns: dg.TableSchema | None = None
    resources: frozenset[str] = frozenset()
    retry: dg.RetryPolicy | None = None
    automation: dg.AutomationCondition[Any] | None = None


def asset_key(key: str) -> dg.AssetKey:
    """Return the Dagster key of a lake key."""
    return dg.AssetKey(key.split("/"))


def asset_of(artefact: Artefact) -> dg.AssetsDefinition:
    """Build the Dagster asset of an artefact."""

    @dg.asset(
        key=asset_key(artefact.key),
        deps=[asset_key(key) for key in _upstream(artefact)],
        group_name=artefact.group,
        kinds=set(artefact.kinds),
        owners=[OWNERS[artefact.group]],
        description=str(artefact.describe),
        freshness_policy=FRESHNESS[artefact.group],
        code_version=artefact.code_version,
        output_required=False,
        metadata={"dagster/column_schema": artefact.columns} if artefact.columns else {},
        check_specs=[
            dg.AssetCheckSpec(
                name, asset=asset_key(artefact.key), description=text, blocking=name not in artefact.advisory
            )
            for name, text in artefact.checks.items()
        ],
        required_resource_keys={"platform", "duckdb", *artefact.resources},
        retry_policy=artefact.retry,
        partitions_def=MONTHS if artefact.monthly else None,
        automation_condition=artefact.automation,
    )
    def _asset(context: dg.AssetExecutionContext) -> Events:
        try:
            yield from _materialize(artefact, context)
        except (RuntimeError, ValueError) as error:  # the platform's own words for what it refuses
            raise dg.Failure(f"{artefact.key}: {error}", allow_retries=False) from error
        except (OSError, duckdb.Error) as error:
            if (words := _exhausted(error)) is None:
                raise
            raise dg.Failure(f"{artefact.key}: {words}; nothing was published", allow_retries=False) from error

    return _asset


def _upstream(artefact: Artefact) -> tuple[str, ...]:
    return (
        *artefact.deps,
        *artefact.uses,
        *artefact.same_month,
        *artefact.every_month,
        *artefact.after,
        *artefact.feeds,
    )


def _exhausted(error: OSError | duckdb.Error) -> str | None:
    """Say which resource ran out, if that is what happened."""
    if getattr(error, "errno", None) in {errno.ENOSPC, errno.EDQUOT} or "No space left" in str(error):
        return "the disk is full; free space or set CREDITRISK_HOME to a larger disk, then run again"
    if isinstance(error, duckdb.OutOfMemoryException):
        return "the work does not fit CREDITRISK_MEMORY_LIMIT; raise it, then run again"
    return None


def _materialize(artefact: Artefact, context: dg.AssetExecutionContext) -> Events:
    platform: Platform = context.resources.platform
    settings, lake = platform.settings, platform.lake
    month = month_of(context.partition_key) if artefact.monthly else ""
    key = f"{artefact.key}/{month}" if month else artefact.key
    months = [f"{each}/{part}" for each in artefact.every_month for part in lake.parts(each)]
    needed = (*artefact.deps, *(f"{each}/{month}" for each in artefact.same_month))
    inputs = {key: lake.require(key) for key in needed} | _published((*artefact.uses, *months), lake)
    seen = artefact.observe(context)
    made_from = {key: version.version for key, version in inputs.items()}
    made_from |= {**artefact.also_from(settings, lake), **seen.fingerprints}
    reused, why = lake.reusable(key, code_version=artefact.code_version, inputs=made_from)
    if reused is not None:
        context.log.info(f"{key}: reused, {why}")
        artefact.export(settings, lake, reused)
        checks = [CheckOutcome(**check) for check in reused.manifest.metadata["checks"]]
        checks += artefact.today(context, reused, seen.value)
        yield from _report(artefact, reused, checks, reused=True, why=why)
        return
    with lake.draft(key) as draft:
        with measured() as usage:
            made = artefact.make(Work(context, settings, lake, inputs, draft, seen.value, month))
        if any(check.blocks for check in made.checks):
            yield from _check_results(artefact.key, made.checks)
            return  # Dagster fails the step on the failed blocking check; nothing was published
        version = lake.publish(
            draft,
            code_version=artefact.code_version,
            inputs=made_from,
            version=made.version,
            metadata={
                "facts": dict(made.facts),
                "checks": [vars(check) for check in made.checks],
                "usage": vars(usage),
            },
        )
    artefact.export(settings, lake, version)
    checks = [*made.checks, *artefact.today(context, version, seen.value)]
    yield from _report(artefact, version, checks, reused=False, why=why)


def _published(keys: Sequence[str], lake: Lake) -> dict[str, Version]:
    """Return the versions there are.

    Raises
    ------
    LakeError
        One of them is damaged: going on as if it were not there would change what is made from it without a word.
    """
    found = {key: version for key in keys if (version := lake.current(key)) is not None}
    for key, version in found.items():
        if (damaged := version.damage()) is not None:
            raise LakeError(f"{key}: its file {damaged} was damaged; run `creditrisk run --select {key}`")
    return found


def _report(artefact: Artefact, version: Version, checks: Sequence[CheckOutcome], *, reused: bool, why: str) -> Events:
    facts, usage = version.manifest.metadata["facts"], Usage(**version.manifest.metadata["usage"])
    standard: dict[str, Any] = {
        "reused": dg.MetadataValue.bool(reused),
        "reason": dg.MetadataValue.text(why),
        "seconds": dg.MetadataValue.float(round(usage.seconds, 3)),
        "peak_memory_mb": dg.MetadataValue.float(round(usage.peak_memory_bytes / 1e6, 1)),
        "size_mb": dg.MetadataValue.float(round(version.bytes / 1e6, 3)),
        "path": dg.MetadataValue.path(str(version.path)),
    }
    if "rows" in facts:
        standard["dagster/row_count"] = dg.MetadataValue.int(facts["rows"])
    yield dg.MaterializeResult(
        asset_key=asset_key(artefact.key),
        data_version=dg.DataVersion(version.version),
        metadata={**artefact.show(version), **standard},
        check_results=list(_check_results(artefact.key, checks)),
    )


def _check_results(key: str, checks: Sequence[CheckOutcome]) -> Iterator[dg.AssetCheckResult]:
    for check in checks:
        yield dg.AssetCheckResult(
            asset_key=asset_key(key),
            check_name=check.name,
            passed=check.passed,
            severity=dg.AssetCheckSeverity[check.severity],
            description=str(check.facts.get("description", "")) or None,
            metadata={name: metadata_of(value) for name, value in check.facts.items() if name != "description"},
        )


def require_one_lineage(inputs: Mapping[str, Version]) -> None:
    """Refuse inputs of which one was made from another version of the other than is here, as after a run that stopped halfway.

    Raises
    ------
    RuntimeError
        It is so; the message names both and what to run.
    """
    for key, version in inputs.items():
        for origin, used in version.manifest.inputs.items():
            if origin in inputs and inputs[origin].version != used:
                raise RuntimeError(
                    f"the {key} published last was made from another version of {origin} than the present one"
                    f" ({inputs[origin].version}); see why {key} was not made from it, then `creditrisk run`"
                )


def metadata_of(value: Any) -> dg.MetadataValue:
    """Render a JSON value: a list of like objects is a table."""
    if isinstance(value, bool):
        return dg.MetadataValue.bool(value)
    if isinstance(value, int):
        return dg.MetadataValue.int(value)
    if isinstance(value, float):
        return dg.MetadataValue.float(value)
    if isinstance(value, str):
        return dg.MetadataValue.text(value)
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return table_of(value)
    return dg.MetadataValue.json(value)


def table_of(rows: Sequence[Json]) -> dg.TableMetadataValue:
    """Render rows as a table in the UI."""
    return dg.MetadataValue.table(
        records=[dg.TableRecord({name: _cell(value) for name, value in row.items()}) for row in rows],
        schema=dg.TableSchema(columns=[dg.TableColumn(name, _column_type(rows, name)) for name in rows[0]]),
    )


def picture_of(*paths: Path) -> dg.MarkdownMetadataValue:
    """Render PNG files as one entry that shows them below each other."""
    pictures = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    return dg.MetadataValue.md("\n\n".join(f"![](data:image/png;base64,{picture})" for picture in pictures))


def _cell(value: Any) -> str | int | float | bool:
    """Render a cell; four significant digits are what a person reads."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value if isinstance(value, int) else str(value)


def _column_type(rows: Sequence[Json], name: str) -> str:
    kinds = {type(row[name]) for row in rows}
    if kinds <= {bool}:
        return "bool"
    if kinds <= {int}:
        return "int"
    return "float" if kinds <= {int, float} else "string"
