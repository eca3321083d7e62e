"""Stage 4b: the candidate beside the champion, and what follows from it where nobody need be asked."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.registry import SWAP_SET
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs import canary_months
from creditrisk_assets.defs.artefact import (
    Artefact,
    CheckOutcome,
    Made,
    Work,
    picture_of,
    require_one_lineage,
    table_of,
)
from creditrisk_assets.defs.canary_months import compare_months, month_versions
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.evaluation import EVALUATION, open_test_part, rival_bundle, segments_of
from creditrisk_assets.defs.governance import REGISTRY, gate_figures
from creditrisk_assets.defs.months import MONTH_APPLICATIONS, RAW_OUTCOMES
from creditrisk_assets.defs.promotion import CANARY, GOVERNANCE_FILE, record_comparison, settle
from creditrisk_assets.defs.split import SPLIT_TEST
from creditrisk_assets.defs.training import choose
from creditrisk_assets.defs.vocabulary import Describe
from creditrisk_assets.features.families import applicant_features
from creditrisk_assets.lake import Lake, LakeError, Version, write_atomically
from creditrisk_assets.modelling.bundle import Bundle, BundleError, follow
from creditrisk_assets.modelling.evaluation import evaluate
from creditrisk_assets.modelling.explanation.reasons import group_features
from creditrisk_assets.modelling.inputs import InputChoice
from creditrisk_assets.modelling.part_scores import encode_part
from creditrisk_assets.modelling.policy import CanaryLimits, Policy, PolicyError, load_policy
from creditrisk_assets.modelling.signing import trusted_keys
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.monitoring.performance import maturation, newest_outcomes
from creditrisk_assets.registry import comparison, comparison_plots, lineage, months_compared, promotion, versions
from creditrisk_assets.registry.comparison import Canary, Side, compare_versions, evidence_hash, not_compared
from creditrisk_assets.registry.promotion import GateFigures, PromotionDecision, decide_promotion, promotion_record
from creditrisk_assets.resources.mlflow import connect
from creditrisk_assets.settings import Settings

REPORT = "canary_report.json"
PLOTS = ("swap_set", "grade_migration")
MONTHS_PLOT = "months.png"
EXPLAINED = 200  # of the applicants each version declines
SWAPS_SHOWN = 40
MONTH_KEYS = (f"{MONTH_APPLICATIONS}/", f"{RAW_OUTCOMES}/")


@dataclass(frozen=True)
class Rival:
    """The champion as far as it can be measured on these applicants."""

    model_version: str
    bundle: Bundle | None  # None: it cannot be scored here
    reason: str  # why
    figures: GateFigures | None  # recorded or measured; None: not known


def _make_canary(work: Work) -> Made:
    policy = load_policy(work.settings.policy)
    if policy.canary is None:
        raise PolicyError(
            "the policy has no `canary:`; copy the section of creditrisk_assets/modelling/policy.yaml and set the limits"
        )
    require_one_lineage(work.inputs)
    candidate = str(work.inputs[REGISTRY].manifest.metadata["facts"]["model_version"])
    figures = gate_figures(work.inputs[EVALUATION])
    found, rival = _compared(work, candidate, policy, policy.canary)
    gate = decide_promotion(figures, rival.figures if rival else None, policy)
    if gate.promote and rival and rival.figures and rival.figures.synthetic and not figures.synthetic:
        found = replace(found, problems=(), warnings=(*found.warnings, *found.problems))  # of other people altogether
    elif not gate.promote:
        found = replace(found, problems=(*found.problems, *gate.reasons[1:]))
    report = found.to_dict()
    facts = _facts(work, found, gate, figures, rival, policy, evidence_hash(report))
    (work.draft.path / REPORT).write_text(json.dumps({**report, "evidence": facts["evidence"]}, indent=1))
    found.swap_set.to_parquet(work.draft.data, index=False, compression="zstd")
    if found.figures:
        (work.draft.path / "swap_set.png").write_bytes(comparison_plots.draw_swap_set(found))
        (work.draft.path / "grade_migration.png").write_bytes(comparison_plots.draw_grade_migration(found))
        if found.figures["months"]:
            picture = comparison_plots.draw_months(found.figures["months"], policy.canary)
            (work.draft.path / MONTHS_PLOT).write_bytes(picture)
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), SWAP_SET))
    return Made(facts, [*contract, *_outcomes(found, gate)], version=facts["evidence"])


def _compared(work: Work, candidate: str, policy: Policy, limits: CanaryLimits) -> tuple[Canary, Rival | None]:
    """Compare the candidate with the champion of this moment, as far as that can be."""
    path = follow(work.settings.bundles)
    if path is None:
        return not_compared(candidate, None, limits), None
    if path.name == candidate:
        return not_compared(candidate, candidate, limits, ["it is the champion already"]), None
    choice = choose(work.settings)
    bundle, reason = rival_bundle(work.settings, path)
    known = {item.name for item in choice.all}
    if bundle is not None and (gone := [name for name in bundle.feature_names if name not in known]):
        bundle, reason = None, f"{len(gone)} of its features are gone"
    if bundle is None:
        words = f"the champion cannot be scored on these applicants ({reason}): compared by its recorded figures alone"
        work.context.log.warning(words)
        unseen = work.lake.parts(MONTH_APPLICATIONS)
        beside = [f"nor is it compared on {len(unseen)} production months"] if unseen else []
        return not_compared(candidate, path.name, limits, [words, *beside]), Rival(
            path.name, None, reason, _recorded(work, path.name)
        )
    open_test_part(work, path.name, "comparison")
    part = read_part(work.inputs[SPLIT_TEST].data, choice.all)
    public = trusted_keys(work.settings.keys, work.settings.signing_key)
    own = Bundle.load(work.settings.bundles / candidate, public)
    matrices = {one.version: encode_part(one, part) for one in (own, bundle)}
    one, other = (_side(model, matrices[model.version]) for model in (own, bundle))
    ratio = comparison.latency_ratio(
        lambda number: own.score(_row(matrices[own.version], number)),
        lambda number: bundle.score(_row(matrices[bundle.version], number)),
        limits.latency_rounds,
    )
    found = compare_versions(
        one, other, part.labels, segments_of(part, policy), _groups(part, choice), limits, latency=ratio
    )
    months = compare_months(work.settings, work.lake, own, bundle, limits, policy.monitoring)
    work.context.log.info(months.words)
    found = replace(
        found,
        problems=(*found.problems, *months.problems),
        warnings=(*found.warnings, *months.warnings),
        figures={**found.figures, **months.to_dict(limits)},
    )
    synthetic = bool(bundle.metrics.get("synthetic"))
    measured = GateFigures.of(evaluate(part.labels, other.pds, policy), synthetic=synthetic)
    return found, Rival(path.name, bundle, "", measured)


def _recorded(work: Work, model_version: str) -> GateFigures | None:
    connect(work.settings)
    found = versions.find(work.settings.registered_model, model_version)
    return found.figures if found else None


def _side(model: Bundle, matrix: NDArray[np.float64]) -> Side:
    pds = model.score(matrix)
    declined = matrix[pds >= model.policy.decisions.decline_from][:EXPLAINED]
    return Side(model.version, model.policy, pds, _main_reasons(model, declined))


def _main_reasons(model: Bundle, matrix: NDArray[np.float64]) -> list[str]:
    """Name the group of features that speaks most against each applicant; empty: the bundle explains nothing."""
    if model.explainer is None or not len(matrix):
        return []
    groups = pd.Series(group_features(tuple(feature.name for feature in applicant_features())))
    contributions = pd.DataFrame(model.explainer.all_contributions(matrix), columns=list(model.feature_names))
    return [str(name) for name in contributions.T.groupby(groups).sum().idxmax()]


def _row(matrix: NDArray[np.float64], number: int) -> NDArray[np.float64]:
    place = number % len(matrix)
    return matrix[place : place + 1]


def _groups(part: Part, choice: InputChoice) -> dict[str, Sequence[Any]]:
    """Return the groups of each prohibited attribute: the categories of a feature that is it, or quarters of one that is a number."""
    found: dict[str, Sequence[Any]] = {}
    for item in choice.prohibited:
        attribute = ", ".join(choice.attributes[item.name])
        if attribute not in found:
            column = part.frame[item.name]
            grouped = pd.qcut(column, 4, duplicates="drop") if item.kind == "numeric" else column
            found[attribute] = [
                None if missing else str(one) for one, missing in zip(grouped, grouped.isna(), strict=True)
            ]
    return found


def _facts(
    work: Work,
    found: Canary,
    gate: PromotionDecision,
    figures: GateFigures,
    rival: Rival | None,
    policy: Policy,
    evidence: str,
) -> dict[str, Any]:
    registered = work.inputs[REGISTRY].manifest.metadata["facts"]
    names = {
        **registered["versions"],
        "champion_before": {"model_version": rival.model_version} if rival else None,
    }
    record = promotion_record(
        gate, figures, rival.figures if rival else None, versions=names, policy=policy, at=datetime.now(UTC)
    )
    record |= {
        "evidence": evidence,
        "overridden_gates": registered["overridden_gates"],
        "problems": list(found.problems),
    }
    name = f"{registered['name']} version {registered['registry_version']} ({found.candidate})"
    words = "; ".join(found.problems) or gate.words
    verdict = f"stays candidate: {words}" if found.problems else f"may be champion ({words})"
    return {
        "rows": len(found.swap_set),
        "headline": f"{name} {verdict}",
        "words": words,
        "candidate": found.candidate,
        "champion": found.champion,
        "problems": list(found.problems),
        "warnings": list(found.warnings),
        "evidence": evidence,
        "gate_passed": gate.gate_passed,
        "figures": {key: value for key, value in found.figures.items() if key not in {"grade_migration", "latency"}},
        "candidate_figures": asdict(figures),
        "record": record,
    }


def _outcomes(found: Canary, gate: PromotionDecision) -> list[CheckOutcome]:
    limits = "; ".join(found.problems) or "every limit of the policy holds"
    latency = "; ".join(found.warnings) or "nothing to note"
    return [
        CheckOutcome("within_limits", passed=not found.problems, facts={"description": limits}, severity="WARN"),
        CheckOutcome("gate_passed", passed=gate.gate_passed, facts={"description": gate.words}, severity="WARN"),
        CheckOutcome("nothing_to_note", passed=not found.warnings, facts={"description": latency}, severity="WARN"),
    ]


def _show_canary(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    shown: dict[str, dg.MetadataValue] = {
        "headline": dg.MetadataValue.text(facts["headline"]),
        "evidence": dg.MetadataValue.text(facts["evidence"]),
        "problems": dg.MetadataValue.json(facts["problems"]),
    }
    if facts["figures"]:
        rows = [facts["figures"][name] for name in ("auc", "brier")]
        columns = ("metric", "first", "second", "p_value", "verdict")
        shown["differences"] = table_of(
            [{**{name: row[name] for name in columns}, **row["difference"]} for row in rows]
        )
        swaps = pd.read_parquet(version.data)
        moved = swaps[swaps["champion"] != swaps["candidate"]].head(SWAPS_SHOWN)
        if len(moved):
            shown["swap_set"] = table_of([{str(k): v for k, v in row.items()} for row in moved.to_dict("records")])
        shown["months"] = dg.MetadataValue.text(facts["figures"]["months_words"])
        if facts["figures"]["months"]:
            shown["by_month"] = table_of(_shown_months(facts["figures"]["months"]))
            shown["months_plot"] = picture_of(version.path / MONTHS_PLOT)
        if facts["figures"]["months_left_out"]:
            shown["months_left_out"] = dg.MetadataValue.json(facts["figures"]["months_left_out"])
        shown["plots"] = picture_of(*(version.path / f"{name}.png" for name in PLOTS))
    return shown


def _shown_months(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the months as people read them: differences with their intervals, shares as per cent."""

    def difference(row: Mapping[str, Any], name: str, form: str) -> str:
        ends = [row[f"{name}_{end}"] for end in ("difference", "low", "high")]
        return "" if ends[0] is None else "{} ({} to {})".format(*(format(end, form) for end in ends))

    def swapped(row: Mapping[str, Any], name: str) -> str:
        rate = row[f"{name}_bad_rate"]
        return f"{row[name]}" + ("" if rate is None else f" (bad rate {rate:.1%} of {row[f'{name}_outcomes']})")

    return [
        {
            **{name: row[name] for name in ("month", "state", "applicants", "outcomes", "defaults")},
            "auc_difference": difference(row, "auc", "+.4f"),
            "brier_difference": difference(row, "brier", "+.5f"),
            "outcomes_say": row["verdict"],
            "approval_rate_shift": difference(row, "approval_rate", "+.2%"),
            "mean_pd_shift": difference(row, "mean_pd", "+.2%"),
            "approved_by_candidate_alone": swapped(row, "gained"),
            "approved_by_champion_alone": swapped(row, "lost"),
        }
        for row in rows
    ]


def _also_from(settings: Settings, lake: Lake) -> Mapping[str, str]:
    """Fingerprint limits, champion and months; a candidate that became champion keeps the comparison it became champion by."""
    policy = load_policy(settings.policy)
    candidate = lake.require(REGISTRY).manifest.metadata["facts"]["model_version"]
    champion = "none"
    with suppress(BundleError):
        path = follow(settings.bundles)
        champion = path.name if path else "none"
    months = {} if champion in {candidate, "none"} else month_versions(lake)
    if champion == candidate:
        with suppress(LakeError):
            before = lake.current(CANARY)
            if before is not None and before.manifest.metadata["facts"]["candidate"] == candidate:
                champion, known = before.manifest.inputs["champion"], before.manifest.inputs.items()
                months = {key: version for key, version in known if key.startswith(MONTH_KEYS)}
    limits = policy.canary.model_dump(mode="json") if policy.canary else {}
    rules = policy.monitoring.model_dump(mode="json", include={"maturity_months", "complete_share"})
    return {"policy": policy.digest, "limits": code_version(limits, rules), "champion": champion, **months}


def _export(settings: Settings, lake: Lake, version: Version) -> None:
    write_atomically(settings.reports / REPORT, (version.path / REPORT).read_text("utf-8"))
    record_comparison(settings, version.manifest.metadata["facts"])
    settle(settings, lake)
    _export_lineage(settings, lake)


def _export_lineage(settings: Settings, lake: Lake) -> None:
    """Write where the champion comes from."""
    with suppress(BundleError):
        if (path := follow(settings.bundles)) is not None:
            report = lineage.champion_report(lake, path.name)
            write_atomically(settings.reports / lineage.REPORT, json.dumps(report, indent=1))


CANARY_ARTEFACT = Artefact(
    key=CANARY,
    group="governance",
    kinds=frozenset({"parquet", "mlflow"}),
    describe=Describe(
        what=(
            "The candidate beside the champion on the same applicants: differences with intervals, swap set, grades, fairness, reasons;"
            " and on production months, where there are any."
            " Where the policy says `approval: auto` and every limit holds, it becomes champion here, on every replica or not at all."
        ),
        grain="one row per segment, value, the champion's decision and the candidate's",
        built_from=(
            "`registry/version`, `model/evaluation`, `training/split_test`, the champion's bundle, the policy, and the published months"
            " of `monitoring/applications` and `raw/outcomes`"
        ),
        known_at="after the registration; made anew by the next run when a month came or changed while the candidate waits",
        consumed_by="approvers, `creditrisk promote`, auditors (`reports/canary_report.json`, `reports/registry_promotion.json`)",
        fails_when=(
            "the table leaves its contract, a bundle does not verify, or a promotion was begun and taken back; a limit that does not hold"
            " is no failure: the champion stays"
        ),
        source="creditrisk_assets/registry/comparison.py",
    ),
    code_version=code_version(
        comparison, comparison_plots, promotion, SWAP_SET, months_compared, canary_months, maturation, newest_outcomes
    ),
    make=_make_canary,
    show=_show_canary,
    deps=(REGISTRY, EVALUATION, SPLIT_TEST),
    after=(GOVERNANCE_FILE,),  # a version whose file is not complete never becomes champion
    checks=CONTRACT
    | {
        "within_limits": "Every limit of the policy's `canary:` holds against the champion of this moment, and no gate of promotion fails.",
        "gate_passed": "The version has what a champion needs: enough test defaults, and no loss to the champion of this moment.",
        "nothing_to_note": (
            "The champion could be measured on these applicants, both on every production month, which the candidate does not shift past a"
            " limit; and the candidate takes no longer than the champion."
        ),
    },
    advisory=frozenset({"within_limits", "gate_passed", "nothing_to_note"}),
    also_from=_also_from,
    export=_export,
    columns=schema_of(SWAP_SET),
)
ARTEFACTS = (CANARY_ARTEFACT,)
