"""The feature catalogue: every feature with its unit, bounds, origin and meaning, as Markdown.

What belongs here: rendering `docs/feature-catalogue.md` from the registry, the contracts and the lineage;
`python -m creditrisk_assets.features.catalogue > docs/feature-catalogue.md`. What does not: any fact of its own.
"""

import sys
from collections.abc import Iterator

from creditrisk_assets.features.as_of import known_before
from creditrisk_assets.features.families import FAMILIES, PRESENCE, FeatureSpec, applicant_features
from creditrisk_assets.features.lineage import Origins, applicant_lineage

MOST_COLUMNS = 6
BOUNDLESS = "−∞", "∞"


def render() -> str:
    """Return the catalogue as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    features = applicant_features()
    origins = applicant_lineage()
    yield "# Feature catalogue"
    yield ""
    yield "Generated from the contracts and the SQL; do not edit: `python -m creditrisk_assets.features.catalogue`."
    yield ""
    yield (
        f"{len(features)} features in {len(FAMILIES)} families, one row per application, all known on the application day. Names are "
        "`<family>__<quantity>_<unit>_<aggregate>[_<window>]`: a window `365d` or `12m` is the time before the application, days and "
        "months count back from it. An empty value (NULL) means unknown or not applicable; no history is NULL, never zero. Origins "
        "include the columns of every condition on the way. **Before**: whether it can also be computed as of a point before the "
        "application (`build_family(…, as_of=months)`); a feature made of what is known only on the application day is then NULL."
    )
    for family in FAMILIES.values():
        of_family = [feature for feature in features if feature.family == family.name]
        yield ""
        yield f"## {family.name}"
        yield ""
        yield f"{family.contract.description} Owner: {family.owner}. Built from {', '.join(f'`{t}`' for t in family.inputs)}."
        yield ""
        yield from _table(of_family, origins)
    yield ""
    yield "## applicant"
    yield ""
    yield "Added when the families are joined."
    yield ""
    yield from _table([feature for feature in features if feature.name in PRESENCE], origins)


def _table(features: list[FeatureSpec], origins: dict[str, Origins]) -> Iterator[str]:
    known = known_before(origins)
    yield "| feature | what it is | unit | bounds | before | made from |"
    yield "|---|---|---|---|---|---|"
    for feature in features:
        made_from = _columns(origins[feature.name])
        before = "yes" if feature.name in known else "no"
        yield f"| `{feature.name}` | {feature.description} | {feature.unit} | {_bounds(feature)} | {before} | {made_from} |"


def _bounds(feature: FeatureSpec) -> str:
    if feature.kind != "numeric":
        return ""
    low, high = (
        unbounded if bound is None else f"{bound:g}"
        for bound, unbounded in zip((feature.minimum, feature.maximum), BOUNDLESS, strict=True)
    )
    return f"{low} … {high}"


def _columns(origins: Origins) -> str:
    """Name the raw columns, each once though both application files have it; a long list is cut with its length told."""
    names = sorted({column for _, column in origins})
    shown = ", ".join(names[:MOST_COLUMNS])
    return shown if len(names) <= MOST_COLUMNS else f"{shown} and {len(names) - MOST_COLUMNS} more"


if __name__ == "__main__":
    sys.stdout.write(render())
