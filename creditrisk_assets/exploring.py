"""Features at the terminal: what there is, what one of them means, and how it lives in the published data and the model.

What belongs here: what the `creditrisk features` commands do. What does not: the commands (`cli`), what a feature is made of
(`features.definition`, `features.lineage`), how a column is measured (`features.profile`), the lake as SQL views (`shell`).

Nothing here imports Dagster, pandas or MLflow, so that an answer takes a second: the champion is the published bundle, and what is known
of it lies beside its version in the lake.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import duckdb
from rich.bar import Bar as Drawn
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table

from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.features.as_of import known_before
from creditrisk_assets.features.definition import expressions, place
from creditrisk_assets.features.families import FAMILIES, GRAIN, OWNER, PRESENCE, FeatureSpec, applicant_features
from creditrisk_assets.features.lineage import Origins, applicant_lineage, lineage
from creditrisk_assets.features.profile import FEWEST, profile, shown
from creditrisk_assets.lake import Lake, LakeError, Version
from creditrisk_assets.modelling.bundle import BundleError, follow
from creditrisk_assets.resources.limits import limits
from creditrisk_assets.settings import Settings

APPLICANT, TRAINING, DRIFT, MODEL = "features/applicant", "training/split_train", "monitoring/drift", "model/pd"
IMPORTANCE = "importance.json"
SHOWN_STEPS = 8  # of the way from raw columns, in text; all of them in JSON
WIDE = 160  # columns where the output is no terminal
BAR_WIDTH = 40

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else WIDE)


class UnknownFeatureError(ValueError):
    """No feature is meant by what was asked for; the message names those that come close."""


def listing(pattern: str | None) -> list[dict[str, Any]]:
    """List features.

    Parameters
    ----------
    pattern
        A pattern of the name (`bureau__*_365d`), or a part of the name or of the description; None: every feature.

    Returns
    -------
    list of dict
        `name`, `family`, `unit`, `kind` and `description`, in the column order of `features/applicant`.

    Raises
    ------
    UnknownFeatureError
        None fits.
    """
    features = applicant_features()
    found = [feature for feature in features if pattern is None or _fits(feature, pattern.lower())]
    if pattern is not None and not found:
        raise UnknownFeatureError(f"no feature fits {pattern}; {_closest(pattern, features)}")
    return [{name: getattr(each, name) for name in ("name", "family", "unit", "kind", "description")} for each in found]


def print_listing(found: Sequence[Mapping[str, Any]]) -> None:
    """Print what `listing` found."""
    table = Table("feature", "unit", "description", box=None, pad_edge=False)
    for feature in found:
        table.add_row(feature["name"], feature["unit"], escape(feature["description"]))
    console.print(table)
    console.print(f"\n{len(found)} features; all of one: `creditrisk features describe NAME`")


def describe(settings: Settings, name: str) -> dict[str, Any]:
    """Tell all that is known of a feature.

    Returns
    -------
    dict
        The definition: `name`, `description`, `family`, `grain`, `owner`, `unit`, `kind`, `type`, `nullable`, `minimum`, `maximum`,
        `known_at`, `known_before` (the application day), `source`, `expressions`, `grid` (None where it follows none) and `lineage`
        (table to raw columns). What was measured: `published`, `reference` (the training split of the model), `drift` and `model`; each is
        a dict, and one that cannot be told holds `missing` alone: why, and which command changes that.

    Raises
    ------
    UnknownFeatureError
        There is no such feature.
    """
    feature, lake = _find(name), Lake(settings.lake)
    with duckdb.connect(config=limits(settings)) as con:
        return {
            **_definition(feature),
            "published": _told(lambda: _distribution(con, lake.require(APPLICANT), feature)),
            "reference": _told(lambda: _distribution(con, _learned_from(settings, lake), feature)),
            "drift": _told(lambda: _drift(con, lake.require(DRIFT), feature)),
            "model": _told(lambda: _place_in_model(*_model(settings, lake), feature)),
        }


def print_description(found: Mapping[str, Any]) -> None:
    """Print what `describe` told."""
    console.print(f"[bold]{found['name']}[/]\n{escape(found['description'])}\n")
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label, told in _rows(found):
        table.add_row(label, told)
    console.print(table)


def _rows(found: Mapping[str, Any]) -> Iterator[tuple[str, RenderableType]]:
    null = "NULL: unknown or not applicable" if found["nullable"] else "never NULL"
    yield "family", f"{found['family']}: {found['grain']}, {found['owner']}"
    yield "value", f"{found['kind']} ({found['type']}), unit {found['unit']}, {null}"
    if found["kind"] == "numeric":
        low, high = (shown(found[end]) if found[end] is not None else "∞" for end in ("minimum", "maximum"))
        yield "bounds", f"{low.replace('∞', '−∞')} … {high}"
    before = (
        "and at any earlier point (`build_family(…, as_of=months)`)" if found["known_before"] else "alone: NULL before"
    )
    yield "known at", f"{found['known_at']} {before}"
    if found["grid"]:
        yield "grid", escape(found["grid"]["words"])
    yield (
        "from",
        "\n".join(f"{escape(table)}: {escape(', '.join(columns))}" for table, columns in _merged(found["lineage"])),
    )
    yield "SQL", escape("\n".join(_steps(found)))
    for section, tell in _SECTIONS.items():
        yield "", ""
        told = found[section]
        yield section, f"[yellow]{escape(told['missing'])}[/]" if "missing" in told else tell(told)


def _merged(columns_of: Mapping[str, Sequence[str]]) -> list[tuple[str, Sequence[str]]]:
    """Put tables of which the same columns are read (the two application files) on one line."""
    tables: dict[tuple[str, ...], list[str]] = {}
    for table, columns in columns_of.items():
        tables.setdefault(tuple(columns), []).append(table)
    return [(" and ".join(names), columns) for columns, names in tables.items()]


def _steps(found: Mapping[str, Any]) -> Iterator[str]:
    steps = found["expressions"]
    for step in steps[:SHOWN_STEPS]:
        yield f"{step['relation']}.{step['column']} = {step['sql']}" if step["relation"] else step["sql"]
    more = f"{len(steps) - SHOWN_STEPS} more steps: --json, and " if len(steps) > SHOWN_STEPS else ""
    yield f"({more}{found['source']})"


def _distribution_words(told: Mapping[str, Any]) -> RenderableType:
    lines: list[RenderableType] = [
        f"{told['key']} {told['version'][:12]} of {told['published_at']}: {told['rows']:,} applicants, {told['null_share']:.1%} NULL"
    ]
    if told["known"] < FEWEST:
        return Group(*lines, f"fewer than {FEWEST} known values: nothing is told of them")
    if told["mean"] is not None:
        cuts = [f"{share:.0%} {shown(value)}" for share, value in told["quantiles"]]
        lines.append(f"minimum {shown(told['minimum'])}, maximum {shown(told['maximum'])}, mean {shown(told['mean'])}")
        lines.append(f"quantiles: {', '.join(cuts) or 'too few known values'}")
    return Group(*lines, *_histogram(told))


def _histogram(told: Mapping[str, Any]) -> Iterator[RenderableType]:
    bars = Table(box=None, show_header=False, pad_edge=False)
    largest = max((bar["share"] for bar in told["bars"]), default=1.0)
    for bar in told["bars"]:
        drawn = Drawn(size=largest, begin=0, end=bar["share"], width=BAR_WIDTH)
        bars.add_row(escape(bar["label"]), f"{bar['share']:.1%}", drawn)
    yield bars
    if told["unnamed_share"]:
        yield f"{told['unnamed_share']:.1%} in rarer values, not named (each of fewer than {FEWEST} applicants, or past the most frequent)"


def _reference_words(told: Mapping[str, Any]) -> RenderableType:
    head = f"{told['key']} {told['version'][:12]}: {told['rows']:,} applicants, {told['null_share']:.1%} NULL"
    if told["mean"] is not None:
        ends = f"{head}; {shown(told['minimum'])} … {shown(told['maximum'])}"
        if len(told["quantiles"]) < 2:
            return ends
        (low_share, low), (high_share, high) = told["quantiles"][0], told["quantiles"][-1]
        return f"{ends}, {high_share - low_share:.0%} of the known values in {shown(low)} … {shown(high)}"
    return f"{head}; {escape(', '.join(bar['label'] for bar in told['bars'])) or 'too few known values'}"


def _drift_words(told: Mapping[str, Any]) -> str:
    verdict = "[red]drifted[/]" if told["drifted"] else "stable"
    distance = (
        "" if told["wasserstein"] is None else f", Wasserstein distance {told['wasserstein']:.3g} standard deviations"
    )
    return (
        f"{verdict}: PSI {told['statistic']:.3f} (limit {told['threshold']:g}){distance}; NULL {told['missing_reference']:.1%} then, "
        f"{told['missing_current']:.1%} now\nmeasured {told['measured_at']} on {told['current_rows']:,} applicants that wait for a "
        f"decision, against {told['reference_rows']:,} of {TRAINING} {told['reference_version'][:12]}"
    )


def _model_words(told: Mapping[str, Any]) -> str:
    return f"{escape(told['words'])}\n{told['role']}: {told['version']} of {told['trained_at']}"


_SECTIONS: Mapping[str, Callable[[Mapping[str, Any]], RenderableType]] = {
    "published": _distribution_words,
    "reference": _reference_words,
    "drift": _drift_words,
    "model": _model_words,
}


def _find(name: str) -> FeatureSpec:
    features = applicant_features()
    for feature in features:
        if feature.name == name.lower():
            return feature
    raise UnknownFeatureError(f"there is no feature {name}; {_closest(name, features)}")


def _fits(feature: FeatureSpec, pattern: str) -> bool:
    if any(sign in pattern for sign in "*?["):
        return fnmatchcase(feature.name, pattern)
    return pattern in feature.name or pattern in feature.description.lower()


def _closest(name: str, features: Sequence[FeatureSpec]) -> str:
    close = get_close_matches(name.lower(), [feature.name for feature in features], cutoff=0.5)
    return f"did you mean {', '.join(close)}?" if close else "`creditrisk features list` shows all of them"


def _definition(feature: FeatureSpec) -> dict[str, Any]:
    family, origins = FAMILIES.get(feature.family), _origins(feature)
    where = place(feature)
    return {
        "name": feature.name,
        "description": feature.description,
        "family": feature.family,
        "grain": family.grain if family else GRAIN,
        "owner": family.owner if family else OWNER,
        "unit": feature.unit,
        "kind": feature.kind,
        "type": feature.sql_type,
        "nullable": feature.nullable,
        "minimum": feature.minimum,
        "maximum": feature.maximum,
        "known_at": feature.known_at,
        "known_before": bool(known_before({feature.name: origins})),
        "grid": {**asdict(where), "words": where.words} if where else None,
        "lineage": {
            f"raw/{table}": sorted(column for other, column in origins if other == table)
            for table in sorted({table for table, _ in origins})
        },
        "expressions": [asdict(step) for step in expressions(feature)],
        "source": f"creditrisk_assets/{f'features/sql/{family.name}.sql' if family else 'contracts/features/applicant.py'}",
    }


def _origins(feature: FeatureSpec) -> Origins:
    if feature.name in PRESENCE:
        return applicant_lineage()[feature.name]
    return lineage(FAMILIES[feature.family])[feature.name]


def _told(tell: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Tell something, or why it cannot be told and what to do."""
    try:
        return tell()
    except (LakeError, BundleError) as error:
        return {"missing": str(error)}


def _distribution(con: duckdb.DuckDBPyConnection, version: Version, feature: FeatureSpec) -> dict[str, Any]:
    manifest = version.manifest
    try:
        found = profile(con, version.data, feature)
    except duckdb.BinderException as error:
        raise LakeError(
            f"{manifest.key} of {manifest.created_at} was published before this feature existed; run `creditrisk run`"
        ) from error
    except duckdb.Error as error:
        raise LakeError(f"{manifest.key}: {version.data} cannot be read; run `creditrisk run` to rebuild it") from error
    head = {"key": manifest.key, "version": version.version, "published_at": manifest.created_at}
    return {**head, **asdict(found), "null_share": found.null_share}


def _learned_from(settings: Settings, lake: Lake) -> Version:
    """Find the training split that the model learned from; without a model, the last one."""
    try:
        _, model = _model(settings, lake)
    except (LakeError, BundleError):
        return lake.require(TRAINING)
    return lake.version(TRAINING, model.manifest.inputs[TRAINING])


def _drift(con: duckdb.DuckDBPyConnection, report: Version, feature: FeatureSpec) -> dict[str, Any]:
    relation = parquet(report.data)
    cursor = con.execute(f"SELECT * FROM {relation} WHERE feature = ?", [feature.name])  # noqa: S608 -- a quoted path
    names, row = [column[0] for column in cursor.description or ()], cursor.fetchone()
    if row is None:
        raise LakeError("not measured: the drift report looks at the inputs of the model alone")
    told = dict(zip(names, row, strict=True))
    facts = report.manifest.metadata["facts"]
    wanted = ("method", "statistic", "threshold", "drifted", "wasserstein", "missing_reference", "missing_current")
    return {
        **{name: told[name] for name in wanted},
        "measured_at": report.manifest.created_at,
        "reference_rows": facts["reference_rows"],
        "current_rows": facts["current_rows"],
        "reference_version": report.manifest.inputs[TRAINING],
        "current_version": report.manifest.inputs[APPLICANT],
    }


def _model(settings: Settings, lake: Lake) -> tuple[str, Version]:
    """Find the champion's version in the lake, which is the one published; without a champion, the last model trained."""
    published = follow(settings.bundles)
    if published is None:
        return "last trained, not the champion", lake.require(MODEL)
    try:
        return "champion", lake.version(MODEL, published.name)
    except LakeError as error:
        raise LakeError(
            f"the champion {published.name} was not trained in this lake, which knows nothing of its inputs"
        ) from error


def _place_in_model(role: str, version: Version, feature: FeatureSpec) -> dict[str, Any]:
    facts = version.manifest.metadata["facts"]
    gains = list(json.loads((version.path / IMPORTANCE).read_text("utf-8")).items())  # largest first
    told: dict[str, Any] = {
        "role": role,
        "version": version.version,
        "trained_at": version.manifest.created_at,
        "inputs": len(gains),
        "is_input": False,
        "share_of_gain": None,
        "rank": None,
    }
    name = feature.name
    if name in dict(gains):
        rank, share = next((rank, share) for rank, (each, share) in enumerate(gains, start=1) if each == name)
        words = f"{share:.2%} of the gain of all splits, rank {rank} of {len(gains)} inputs"
        words = words if share else f"an input, but no split uses it ({len(gains)} inputs)"
        if reason := facts["allowed_by_policy"].get(name):
            words = f"{words}; the policy allows it in spite of its lineage: {reason}"
        return {**told, "is_input": True, "share_of_gain": share, "rank": rank if share else None, "words": words}
    if name in facts["kept_for_testing_only"]:
        reached = ", ".join(facts["kept_for_testing_only"][name])
        return {
            **told,
            "words": f"not a model input: kept for testing only by policy, because it is made from {reached}",
        }
    if name in facts["dropped"]:
        return {**told, "words": f"not a model input: dropped because it has {facts['dropped'][name]}"}
    return {**told, "words": "not a model input: the model was trained before this feature existed"}
