"""Stage 3e: what becomes of scores and decisions when data are missing, shocked or new."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from creditrisk_assets.contracts.check import check
from creditrisk_assets.contracts.figures import FIGURES, GRADE_MIGRATION, ROBUSTNESS
from creditrisk_assets.contracts.fingerprint import code_version
from creditrisk_assets.contracts.render.sql import parquet
from creditrisk_assets.defs.artefact import Artefact, CheckOutcome, Made, Work, picture_of, table_of
from creditrisk_assets.defs.columns import schema_of
from creditrisk_assets.defs.contract_checks import CONTRACT, contract_outcomes
from creditrisk_assets.defs.figures import CONTRACT_OF_FIGURES, TABLE, export_files, write_figures
from creditrisk_assets.defs.split import SPLIT_TRAIN
from creditrisk_assets.defs.training import CALIBRATOR, FOLD_MODELS, OUT_OF_FOLD
from creditrisk_assets.defs.vocabulary import Describe, raw_key
from creditrisk_assets.features.families import FAMILIES, PRESENCE
from creditrisk_assets.features.plan import render_plan
from creditrisk_assets.features.request import APPLICATION, APPLICATION_KEY, RequestFeatures
from creditrisk_assets.features.statement import quoted
from creditrisk_assets.lake import Draft, Version
from creditrisk_assets.modelling import evaluation_plots, figures, fold_models, robustness
from creditrisk_assets.modelling.calibration import Calibrator
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.figures import drill_figures
from creditrisk_assets.modelling.fold_models import HeldOut, parse_fold_models
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.part_scores import columns_of
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.robustness import Drill, Families, Sample, drill, scenarios
from creditrisk_assets.modelling.tables import sample_part
from creditrisk_assets.settings import Settings

DRILL = "model/robustness"
APPLICATIONS = raw_key("application_train")
MIGRATION = "grade_migration.parquet"
PLOTS = ("auc_tornado", "approval_tornado")
SAMPLE = 5_000  # applicants: a change of the AUC by a few thousandths is told apart, in seconds
EXACT = 1e-9  # of margins: a feature that differs in its last bit moves none, or moves it far


def _make_drill(work: Work) -> Made:
    policy, kept = load_policy(work.settings.policy), work.inputs[OUT_OF_FOLD]
    by_fold = parse_fold_models((kept.path / FOLD_MODELS).read_text("utf-8"))
    inputs = {f.name: ModelInput(f.name, f.family, f.kind) for model in by_fold for f in model.features}
    seed = load_configuration().seed
    with work.connection() as con:
        part = sample_part(con, work.inputs[SPLIT_TRAIN].data, tuple(inputs.values()), rows=SAMPLE, seed=seed)
    predicted = pd.read_parquet(kept.data).query("repeat == 0").set_index("sk_id_curr").loc[part.ids.tolist()]
    models = HeldOut(by_fold, predicted["fold"].to_numpy().astype(np.int64))
    calibrator = Calibrator.from_json((kept.path / CALIBRATOR).read_text("utf-8"))
    plan = render_plan({APPLICATION: FAMILIES[APPLICATION]})
    columns = {column["name"]: column["type"] for column in plan["tables"][APPLICATION]["columns"]}
    applications, features = _applications(work, part.ids.tolist(), list(columns)), columns_of(part, models.features)
    request = RequestFeatures(plan)
    margins = models.margins({**features, **request.compute_application(applications)})
    families = Families(
        {name: [feature.name for feature in family.features] for name, family in FAMILIES.items()},
        {family: flag for flag, family in PRESENCE.items()},
        request.compute_application,
    )
    found = drill(
        Sample(part.labels, applications, features),
        families,
        scenarios(FAMILIES, [name for name, kind in columns.items() if kind == "str"]),
        lambda columns: calibrator.pds(models.margins(columns)),
        policy,
    )
    _write(found, work.draft)
    with work.connection() as con:
        contract = contract_outcomes(check(con, parquet(work.draft.data), ROBUSTNESS))
        (migration,) = contract_outcomes(check(con, parquet(work.draft.path / MIGRATION), GRADE_MIGRATION))
    tidy = write_figures(work, drill_figures(found), measured=OUT_OF_FOLD)
    gaps = np.abs(margins - predicted["margin"].to_numpy())
    facts = {"rows": len(found.table), "applicants": len(part), "defaults": int(part.labels.sum()), "seed": seed}
    return Made(facts, [*contract, replace(migration, name="contract_of_grade_migration"), tidy, _unshocked(gaps)])


def _write(found: Drill, draft: Draft) -> None:
    """Write the tables and the pictures."""
    found.table.to_parquet(draft.data, index=False, compression="zstd")
    found.migration.to_parquet(draft.path / MIGRATION, index=False, compression="zstd")
    rate = evaluation_plots.draw_tornado(found.table, "approval_rate_change", "approval rate", percent=True)
    auc = evaluation_plots.draw_tornado(found.table, "auc_change", "AUC", percent=False)
    for name, picture in zip(PLOTS, (auc, rate), strict=True):
        (draft.path / f"{name}.png").write_bytes(picture)


def _applications(work: Work, ids: Sequence[int], columns: Sequence[str]) -> list[dict[str, Any]]:
    """Read raw applications, in the order of the ids."""
    chosen = ", ".join(quoted(name) for name in columns)
    table = parquet(work.inputs[APPLICATIONS].data)
    query = f"select {chosen} from {table} where {APPLICATION_KEY} in (select unnest(?))"  # noqa: S608 - quoted names
    with work.connection() as con:
        rows = [dict(zip(columns, row, strict=True)) for row in con.execute(query, [list(ids)]).fetchall()]
    by_id = {row[APPLICATION_KEY]: row for row in rows}
    if missing := sum(applicant not in by_id for applicant in ids):
        raise ValueError(
            f"{missing} training applicants are not in {APPLICATIONS} any more; materialize training/split_train again"
        )
    return [by_id[applicant] for applicant in ids]


def _unshocked(gaps: NDArray[np.float64]) -> CheckOutcome:
    apart = int((gaps > EXACT).sum())
    words = (
        f"computed again from their raw applications as a request is, {apart} of {len(gaps):,} applicants have another margin than out of"
        f" fold; the largest difference is {gaps.max():.2g}"
    )
    return CheckOutcome("unshocked_is_out_of_fold", passed=apart == 0, facts={"description": words}, severity="WARN")


def _show_drill(version: Version) -> Mapping[str, dg.MetadataValue]:
    facts = version.manifest.metadata["facts"]
    table = pd.read_parquet(version.data)
    migration = pd.read_parquet(version.path / MIGRATION)
    worst = str(table.loc[table["decisions_flipped"].idxmax(), "scenario"])
    moved = migration[migration["scenario"] == worst].pivot_table(
        index="grade_before", columns="grade_after", values="applicants", fill_value=0, aggfunc="sum"
    )
    return {
        "applicants": dg.MetadataValue.int(facts["applicants"]),
        "scenarios": table_of(_rows(table.drop(columns=["kind", "applicants"]))),
        "most_decisions_flipped_by": dg.MetadataValue.text(worst),
        "its_grades_before_and_after": table_of(_rows(moved.astype(int).reset_index())),
        "plots": picture_of(*(version.path / f"{name}.png" for name in PLOTS)),
    }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _export(settings: Settings, version: Version) -> None:
    names = {f"{name}.png": f"{name}.png" for name in PLOTS}
    names |= {"robustness.parquet": version.data.name, "robustness_figures.parquet": TABLE, MIGRATION: MIGRATION}
    export_files(version, settings.reports, names)


ROBUSTNESS_ARTEFACT = Artefact(
    key=DRILL,
    group="training",
    kinds=frozenset({"lightgbm", "duckdb", "parquet"}),
    describe=Describe(
        what=(
            "What becomes of AUC, PDs, decisions and grades when a feature family or an external score is missing, incomes or credit"
            " amounts are shocked, or every category is new. Raw columns are shocked and features computed again as a request's are."
        ),
        grain="one row per thing done to the same applicants; the first is nothing",
        built_from=(
            f"a seeded sample of {SAMPLE:,} applicants of `training/split_train`, their rows of `raw/application_train`, the models of the"
            " folds that held them out (`model/out_of_fold`)"
        ),
        known_at="when the training applicants' outcomes are",
        consumed_by="risk officers, the model card",
        fails_when="a table leaves its contract, or an application is gone; features that come out otherwise than in the table warn",
        source="creditrisk_assets/modelling/robustness.py",
    ),
    code_version=code_version(robustness, fold_models, figures, evaluation_plots, ROBUSTNESS, GRADE_MIGRATION, FIGURES),
    make=_make_drill,
    show=_show_drill,
    deps=(SPLIT_TRAIN, OUT_OF_FOLD, APPLICATIONS),
    checks=CONTRACT
    | CONTRACT_OF_FIGURES
    | {
        "contract_of_grade_migration": f"Columns, types and keys of `{MIGRATION}` are as its contract declares.",
        "unshocked_is_out_of_fold": (
            "Features computed again by the request path, with nothing done to the application, give the margins out of fold. Where they"
            " do not, the two paths disagree about a feature, and the drill shows that as well."
        ),
    },
    advisory=frozenset({"unshocked_is_out_of_fold"}),
    also_from=lambda settings, _lake: {
        "policy": load_policy(settings.policy).digest,
        "seed": str(load_configuration().seed),
        "definition of application": FAMILIES[APPLICATION].definition,
    },
    export=lambda settings, _lake, version: _export(settings, version),
    columns=schema_of(ROBUSTNESS),
)
ARTEFACTS = (ROBUSTNESS_ARTEFACT,)
