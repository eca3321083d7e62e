"""Stage 4a: how alike groups of applicants are treated, what stands for a prohibited attribute, and whether a fairer model was to be had.

What belongs here: reading the attributes for these tests, wiring them, showing what came out. What does not: measures, limits, proxies,
alternatives (`modelling.fairness`). Outcomes and PDs of the test part come with the evaluation, so the lockbox is not opened again, but for
the champion's own score beside it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.fairness import ALTERNATIVES, GROUPS, PROXIES
from creditrisk_assets.contracts.figures import FIGURES
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.contracts.table import TableContract
from creditrisk_assets.defs.artefact import (
    Artefact,
    CheckOutcome,
    Made,
    Work,
    picture_of,
    require_one_lineage,
    table_of,
)
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.evaluation import EVALUATION, PREDICTIONS, open_test_part, rival_bundle
from creditrisk_assets.defs.figures import CONTRACT_OF_FIGURES, write_figures
from creditrisk_assets.defs.split import SPLIT_TEST, SPLIT_TRAIN
from creditrisk_assets.defs.training import BUNDLE, IMPORTANCE, MODEL, OUT_OF_FOLD
from creditrisk_assets.defs.vocabulary import Describe, raw_key
from creditrisk_assets.features.statement import quoted
from creditrisk_assets.lake import Version, write_atomically
from creditrisk_assets.modelling import bundle as bundles
from creditrisk_assets.modelling import inputs as choosing
from creditrisk_assets.modelling.bundle import Bundle
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.fairness import alternatives, groups, judging, measures, pictures, proxies
from creditrisk_assets.modelling.fairness.alternatives import Rules, Sample
from creditrisk_assets.modelling.fairness.groups import columns_of, grouped, limits_of
from creditrisk_assets.modelling.fairness.judging import CHAMPION_CHECK, LIMITS, Verdict
from creditrisk_assets.modelling.fairness.measures import MEASURES, Scored, group_table, scored
from creditrisk_assets.modelling.figures import Figure
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.part_scores import score_part
from creditrisk_assets.modelling.pipeline import new_encoder
from creditrisk_assets.modelling.policy import FairnessLimits, Policy, load_policy
from creditrisk_assets.modelling.signing import trusted_keys
from creditrisk_assets.modelling.tables import read_part, sample_part
from creditrisk_assets.settings import Settings

FAIRNESS, REPORT = "governance/fairness", "fairness.json"
APPLICATIONS = raw_key("application_train")
PROXY_TABLE, ALTERNATIVE_TABLE = "proxies.parquet", "alternatives.parquet"
PLOTS = ("groups", "truth", "proxies", "frontier")
ADVISORY = frozenset({"mean_pds_alike", "no_strong_proxy", "no_better_alternative"})


def _make_fairness(work: Work) -> Made:
    require_one_lineage({key: version for key, version in work.inputs.items() if key != APPLICATIONS})
    policy, seed = load_policy(work.settings.policy), load_configuration().seed
    limits = limits_of(policy)
    tested = pd.read_parquet(work.inputs[EVALUATION].path / PREDICTIONS)
    parted = grouped(_attributes(work, tested["sk_id_curr"].tolist(), policy), policy)
    applicants = scored(tested["target"].to_numpy().astype(np.int64), tested["pd"].to_numpy(), policy)
    table = group_table(applicants, parted, limits)
    champion, reason = _champion(work, policy, tested["sk_id_curr"].tolist())
    verdicts = [
        *judging.judge(table, limits),
        judging.judge_beside_champion(applicants, champion, reason, parted, limits, seed=seed),
    ]
    proxied, family = _sampled(work, policy, seed)
    _write(work, table, proxied, family, verdicts, limits)
    tidy = write_figures(work, _figures(table), measured=MODEL)
    with work.connection() as con:
        contracts = [
            replace(outcome, name=name)
            for name, path, contract in _tables(work)
            for outcome in contract_outcomes(check(con, parquet(path), contract))
        ]
    facts = {
        "rows": len(table),
        "insufficient": int((table["status"] == "insufficient").sum()),
        "headline": _headline(table, verdicts, proxied, family),
        "verdicts": [verdict.to_dict() for verdict in verdicts],
        "policy_sha256": policy.digest,
    }
    if any(verdict.status == "fail" and verdict.check not in ADVISORY for verdict in verdicts):
        _export_files(work.settings, work.draft.path)  # nothing will be published, and people want to read why
    return Made(facts, [*contracts, tidy, *map(_outcome, verdicts), _strong(proxied, limits), _better(family, limits)])


def _attributes(work: Work, ids: Sequence[int], policy: Policy) -> pd.DataFrame:
    """Read what the applicants are parted by, in the order of the ids."""
    columns = columns_of(policy)
    chosen = ", ".join(quoted(name) for name in ("SK_ID_CURR", *columns))
    query = f"select {chosen} from {parquet(work.inputs[APPLICATIONS].data)} where SK_ID_CURR in (select unnest(?))"  # noqa: S608 - quoted
    with work.connection() as con:
        table = con.execute(query, [list(ids)]).df().set_index("SK_ID_CURR")
    if missing := len(set(ids) - set(table.index)):
        raise ValueError(
            f"{missing} applicants are not in {APPLICATIONS} any more; materialize training/split_train again"
        )
    return table.loc[list(ids)].reset_index(drop=True)


def _champion(work: Work, policy: Policy, ids: Sequence[int]) -> tuple[Scored | None, str]:
    """Score the test applicants by the champion of this moment, or say why that cannot be."""
    path, version = (
        bundles.follow(work.settings.bundles),
        work.inputs[MODEL].manifest.metadata["facts"]["model_version"],
    )
    if path is None or path.name == version:
        return None, "no other champion is published"
    rival, reason = rival_bundle(work.settings, path)
    if rival is None:
        return None, reason
    open_test_part(work, rival.version, "comparison")
    part = read_part(work.inputs[SPLIT_TEST].data, [ModelInput(f.name, f.family, f.kind) for f in rival.features])
    pds = pd.Series(score_part(rival, part), index=part.ids).loc[list(ids)]
    target = pd.Series(part.labels, index=part.ids).loc[list(ids)]
    return scored(target.to_numpy(), np.asarray(pds, dtype=np.float64), policy), ""


def _sampled(work: Work, policy: Policy, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scan for proxies and fit alternatives, on samples of the training part."""
    settings, limits, model = work.settings, limits_of(policy), work.inputs[MODEL]
    bundle = Bundle.load(model.path / BUNDLE, trusted_keys(settings.keys, settings.signing_key))
    inputs = [ModelInput(f.name, f.family, f.kind, f.monotone) for f in bundle.features]
    importance: Mapping[str, float] = json.loads((model.path / IMPORTANCE).read_text("utf-8"))
    found = proxies.input_groups(inputs, importance)
    with work.connection() as con:
        drawn = sample_part(con, work.inputs[SPLIT_TRAIN].data, inputs, rows=proxies.APPLICANTS, seed=seed)
    matrix = new_encoder().fit_transform(drawn.frame)
    parted = grouped(_attributes(work, drawn.ids.tolist(), policy), policy)
    proxied = proxies.scan(
        matrix, [item.name for item in inputs], found, proxies.targets_of(parted), strong=limits.maximum_proxy_auc,
        minimum=limits.minimum_applicants, seed=seed, threads=1,  # the models are small: threads would wait for one another
    )  # fmt: skip
    del matrix, drawn
    strongest = sorted(inputs, key=lambda item: (-importance.get(item.name, 0.0), item.name))[: alternatives.INPUTS]
    family = alternatives.frontier(
        _sample(work, policy, strongest, len(inputs), seed),
        alternatives.most_proxied(proxied, found),
        Rules(
            limits.minimum_applicants,
            policy.decisions.approve_below,
            policy.gates.maximum_auc_loss,
            limits.maximum_ratio_loss,
        ),
        alternatives.learner(load_configuration().lightgbm.model_dump(), seed=seed, threads=settings.threads),
        seed=seed,
    )
    return proxied, family


def _sample(work: Work, policy: Policy, inputs: Sequence[ModelInput], in_use: int, seed: int) -> Sample:
    with work.connection() as con:
        part = sample_part(con, work.inputs[SPLIT_TRAIN].data, inputs, rows=alternatives.APPLICANTS, seed=seed)
    kept = pd.read_parquet(work.inputs[OUT_OF_FOLD].data, columns=["sk_id_curr", "pd"])
    pds = kept.groupby("sk_id_curr")["pd"].mean().loc[part.ids.tolist()].to_numpy()
    parted = grouped(_attributes(work, part.ids.tolist(), policy), policy)
    matrix = new_encoder().fit_transform(part.frame)
    signs = tuple(item.monotone for item in inputs)
    return Sample(matrix, tuple(item.name for item in inputs), part.labels, pds, parted, in_use, signs)


def _write(
    work: Work,
    table: pd.DataFrame,
    proxied: pd.DataFrame,
    family: pd.DataFrame,
    verdicts: Sequence[Verdict],
    limits: FairnessLimits,
) -> None:
    """Write tables, pictures and the report."""
    place = work.draft.path
    table.to_parquet(work.draft.data, index=False, compression="zstd")
    proxied.to_parquet(place / PROXY_TABLE, index=False, compression="zstd")
    family.to_parquet(place / ALTERNATIVE_TABLE, index=False, compression="zstd")
    drawn = {
        "groups": pictures.draw_groups(table, limits),
        "truth": pictures.draw_truth(table, limits),
        "proxies": pictures.draw_proxies(proxied, limits),
        "frontier": pictures.draw_frontier(family, limits),
    }
    for name, picture in drawn.items():
        (place / f"{name}.png").write_bytes(picture)
    report = {
        "model_version": work.inputs[MODEL].manifest.metadata["facts"]["model_version"],
        "favourable": measures.FAVOURABLE,
        "limits": limits.model_dump(mode="json"),
        "verdicts": [verdict.to_dict() for verdict in verdicts],
        "groups": _records(table),
        "proxies": _records(proxied),
        "alternatives": _records(family),
    }
    (place / REPORT).write_text(json.dumps(report, indent=1, ensure_ascii=False), "utf-8")


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Render a table as JSON values; what is missing is null."""
    return json.loads(table.to_json(orient="records", double_precision=15))  # type: ignore[no-any-return]


def _tables(work: Work) -> tuple[tuple[str, Any, TableContract], ...]:
    place = work.draft.path
    return (
        ("contract", work.draft.data, GROUPS),
        ("contract_of_proxies", place / PROXY_TABLE, PROXIES),
        ("contract_of_alternatives", place / ALTERNATIVE_TABLE, ALTERNATIVES),
    )


def _figures(table: pd.DataFrame) -> list[Figure]:
    return [
        Figure(
            name,
            f"{row['attribute']}: {row['group']}",
            row[name],
            int(row["applicants"]),
            row[f"{name}_low"],
            row[f"{name}_high"],
        )
        for row in table[table["status"] == "measured"].to_dict("records")
        for name in MEASURES
    ]


def _headline(table: pd.DataFrame, verdicts: Sequence[Verdict], proxied: pd.DataFrame, family: pd.DataFrame) -> str:
    missed = [verdict.check for verdict in verdicts if verdict.status == "fail"]
    worst = (
        table[table["judged"] & table["impact_ratio"].notna()].sort_values("impact_ratio").head(1).to_dict("records")
    )
    words = "every limit holds" if not missed else f"missed: {', '.join(missed)}"
    if worst:
        words += f"; lowest impact ratio {worst[0]['impact_ratio']:.3f} ({worst[0]['attribute']}: {worst[0]['group']})"
    few = int((table["status"] == "insufficient").sum())
    strong, better = int(proxied["strong"].sum()), int(family["better"].sum())
    return f"{words}; {few} of {len(table)} groups insufficient; {strong} strong proxies; {better} better alternatives"


def _outcome(verdict: Verdict) -> CheckOutcome:
    words = f"{verdict.title}: {verdict.status}; {verdict.words} (limit: {verdict.limit})"
    if verdict.status == "fail":
        words += f". What to do: {verdict.remedy} (docs/fairness.md)"
    severity = "WARN" if verdict.check in ADVISORY else "ERROR"
    return CheckOutcome(verdict.check, passed=verdict.status != "fail", facts={"description": words}, severity=severity)


def _strong(proxied: pd.DataFrame, limits: FairnessLimits) -> CheckOutcome:
    strong = proxied[proxied["strong"]]
    named = "; ".join(
        f"{row['input_group']} tells {row['attribute']} ({row['auc']:.3f})" for row in strong.to_dict("records")
    )
    words = f"{len(proxied)} readings, limit AUC {limits.maximum_proxy_auc}: {named or 'no group of inputs tells an attribute better'}"
    return CheckOutcome("no_strong_proxy", passed=strong.empty, facts={"description": words}, severity="WARN")


def _better(family: pd.DataFrame, limits: FairnessLimits) -> CheckOutcome:
    named = ", ".join(family[family["better"]]["alternative"]) or "none"
    words = f"fairer by {limits.maximum_ratio_loss} of the impact ratio at hardly any cost in AUC: {named}"
    return CheckOutcome(
        "no_better_alternative", passed=not family["better"].any(), facts={"description": words}, severity="WARN"
    )


def _show_fairness(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    table = pd.read_parquet(version.data)
    shown = [
        "attribute",
        "group",
        "status",
        "applicants",
        "approval_rate",
        "impact_ratio",
        "opportunity_gap",
        "observed_expected",
        "auc",
    ]
    rows = [
        {name: "insufficient" if pd.isna(value) else value for name, value in row.items()}
        for row in table[shown].astype(object).to_dict("records")
    ]
    return {
        "headline": dg.MetadataValue.text(facts["headline"]),
        "plots": picture_of(*(version.path / f"{name}.png" for name in PLOTS)),
        "groups": table_of([{str(name): value for name, value in row.items()} for row in rows]),
        "limits": table_of(
            [{name: verdict[name] for name in ("title", "status", "limit", "words")} for verdict in facts["verdicts"]]
        ),
    }


def _export_files(settings: Settings, place: Any) -> None:
    folder = settings.reports / "governance" / "fairness"
    write_atomically(folder / REPORT, (place / REPORT).read_text("utf-8"))
    for name in PLOTS:
        (folder / f"{name}.png").write_bytes((place / f"{name}.png").read_bytes())


FAIRNESS_ARTEFACT = Artefact(
    key=FAIRNESS,
    group="governance",
    kinds=frozenset({"lightgbm", "parquet"}),
    describe=Describe(
        what=(
            "How alike the model treats groups by sex, age and marital status: approval, outcomes, AUC and truth of PDs, with intervals;"
            " what stands for these attributes; what a less discriminatory model would cost. They are read here for tests alone."
        ),
        grain="one row per group of test applicants; too small a group is insufficient, and no number is told of it",
        built_from=(
            "`model/evaluation` (outcomes and PDs of the test part), `raw/application_train` (the attributes), samples of"
            " `training/split_train`, `model/out_of_fold`, `model/pd`, the policy's `fairness`"
        ),
        known_at="after the evaluation",
        consumed_by="`governance/model_card`, `governance/validation_pack`, fair-lending officers",
        fails_when=(
            "a judged group's interval lies wholly beyond a limit, or below the champion's: then nothing is published; strong proxies and"
            " better alternatives warn"
        ),
        source="creditrisk_assets/modelling/fairness/measures.py",
    ),
    code_version=code_version(
        alternatives, choosing, groups, judging, measures, pictures, proxies, GROUPS, PROXIES, ALTERNATIVES, FIGURES
    ),
    make=_make_fairness,
    show=_show_fairness,
    deps=(EVALUATION, MODEL, OUT_OF_FOLD, SPLIT_TRAIN, SPLIT_TEST, APPLICATIONS),
    checks=CONTRACT
    | CONTRACT_OF_FIGURES
    | {
        "contract_of_proxies": f"Columns, types and keys of `{PROXY_TABLE}` are as its contract declares.",
        "contract_of_alternatives": f"Columns, types and keys of `{ALTERNATIVE_TABLE}` are as its contract declares.",
    }
    | {limit.check: f"{limit.title} (policy: fairness)." for limit in LIMITS}
    | {
        CHAMPION_CHECK: "Against the champion on the same applicants, no judged group is approved much more seldom.",
        "no_strong_proxy": "No one group of inputs tells a prohibited attribute better than the policy's limit.",
        "no_better_alternative": "No alternative of the family is fairer by the policy's limit and hardly less accurate.",
    },
    advisory=ADVISORY,
    also_from=lambda settings, _lake: {
        "policy": load_policy(settings.policy).digest,
        "configuration": load_configuration().digest,
    },
    export=lambda settings, _lake, version: _export_files(settings, version.path),
    columns=schema_of(GROUPS),
)
ARTEFACTS = (FAIRNESS_ARTEFACT,)
