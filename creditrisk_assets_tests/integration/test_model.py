"""The model of the graph: out of fold, calibrated, and held to the policy."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets import running
from creditrisk_assets.defs.evaluation import EVALUATION, FIGURES, segments_of
from creditrisk_assets.defs.policy import SIMULATION
from creditrisk_assets.defs.training import BUNDLE, CALIBRATOR, MODEL, OUT_OF_FOLD, REFERENCE_APPLICANTS, choose
from creditrisk_assets.lake import Lake
from creditrisk_assets.modelling.bundle import Bundle, follow, read_public_key
from creditrisk_assets.modelling.bundle_writer import BundleContent, publish_bundle, write_bundle
from creditrisk_assets.modelling.calibration import Calibrator
from creditrisk_assets.modelling.configuration import load_configuration
from creditrisk_assets.modelling.cross_validation import cross_validate
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.policy import load_policy
from creditrisk_assets.modelling.signing import signing_key
from creditrisk_assets.modelling.tables import Part, read_part
from creditrisk_assets.modelling.training import fit_model
from creditrisk_assets.registry.lockbox import read_ledger
from creditrisk_assets.settings import Settings
from creditrisk_assets_tests.integration.conftest import Graph


@pytest.fixture(scope="module")
def bundle(graph: Graph) -> Bundle:
    return Bundle.load(graph.lake.require(MODEL).path / BUNDLE, read_public_key(graph.settings.keys))


@pytest.fixture(scope="module")
def tested(graph: Graph, bundle: Bundle) -> Part:
    inputs = [ModelInput(feature.name, feature.family, feature.kind) for feature in bundle.features]
    return read_part(graph.lake.require("training/split_test").data, inputs)


def test_each_training_applicant_is_predicted_out_of_fold(graph: Graph) -> None:
    version = graph.lake.require(OUT_OF_FOLD)
    table, train = pd.read_parquet(version.data), pd.read_parquet(graph.lake.require("training/split_train").data)
    folds = version.manifest.metadata["facts"]["folds"]
    assert table["sk_id_curr"].tolist() == train["sk_id_curr"].tolist()
    assert table["target"].tolist() == train["target"].tolist()
    assert table.groupby("fold").size().tolist() == [fold["held_out"] for fold in folds]
    assert table["pd"].mean() == pytest.approx(table["target"].mean(), abs=0.01)


def test_the_bundle_serves_the_calibrator_found_out_of_fold(graph: Graph, bundle: Bundle) -> None:
    found = Calibrator.from_json((graph.lake.require(OUT_OF_FOLD).path / CALIBRATOR).read_text())
    facts = graph.lake.require(MODEL).manifest.metadata["facts"]
    assert bundle.calibrator == found == Calibrator(**facts["calibrator"])
    assert facts["trees"] == graph.lake.require(OUT_OF_FOLD).manifest.metadata["facts"]["search"]["trees"]


def test_the_bundle_compares_with_the_reference_applicants_of_the_lake(graph: Graph, bundle: Bundle) -> None:
    rows, facts = np.load(graph.lake.require(MODEL).path / REFERENCE_APPLICANTS), bundle.reference_applicants
    assert bundle.explainer is not None
    assert facts is not None
    assert hashlib.sha256(rows.tobytes()).hexdigest() == facts["rows_sha256"]
    assert facts == graph.lake.require(MODEL).manifest.metadata["facts"]["reference_applicants"]
    pds = bundle.score(rows.astype(np.float64))
    assert (pds < bundle.policy.decisions.approve_below).all()
    assert [pds.min(), pds.max()] == [facts["lowest_pd"], facts["highest_pd"]]
    assert bundle.booster.margins(rows.astype(np.float64)).mean() == pytest.approx(bundle.explainer.base, abs=1e-12)


def test_contributions_of_the_test_part_add_up(bundle: Bundle, tested: Part) -> None:
    assert bundle.explainer is not None
    frame = tested.frame.astype(object).where(tested.frame.notna(), None)
    matrix = bundle.encode({name: frame[name].tolist() for name in bundle.feature_names})
    for found, margin in zip(bundle.explainer.all_contributions(matrix), bundle.booster.margins(matrix), strict=True):
        bundle.explainer.check(found, margin)


def test_no_pd_moves_against_the_policy(bundle: Bundle, tested: Part) -> None:
    held = [(place, feature) for place, feature in enumerate(bundle.features) if feature.monotone]
    assert held
    frame = tested.frame.astype(object).where(tested.frame.notna(), None)
    matrix = bundle.encode({name: frame[name].tolist() for name in bundle.feature_names})
    rows, moved = matrix[:100], 0.0
    for place, feature in held:
        known = matrix[~np.isnan(matrix[:, place]), place]
        if not len(known):
            continue
        grid = np.unique([*np.quantile(known, np.linspace(0, 1, 12)), known.min() - 1, known.max() + 1])
        changed = np.repeat(rows[None], len(grid), axis=0)
        changed[:, :, place] = grid[:, None]
        pds = bundle.score(changed.reshape(-1, rows.shape[1])).reshape(len(grid), len(rows))
        steps = feature.monotone * np.diff(pds, axis=0)
        assert (steps >= 0).all(), feature.name
        moved = max(moved, float(steps.max()))
    assert moved > 0


def test_the_test_part_was_opened_once_and_that_is_on_record(graph: Graph, bundle: Bundle) -> None:
    (opening,) = read_ledger(graph.settings.lockbox)
    assert (opening.model_version, opening.purpose) == (bundle.version, "evaluation")
    assert opening.split_version == graph.lake.require("training/split_test").version


def test_the_evaluation_says_whether_pds_are_true_and_grades_order_risk(graph: Graph, tested: Part) -> None:
    version = graph.lake.require(EVALUATION)
    content = json.loads((version.path / FIGURES).read_text())
    report, scale = content["calibration_report"], content["master_scale"]
    assert report["figures"][0]["applicants"] == len(tested)
    assert {f["segment"] for f in report["figures"]} == {None, *load_policy().segments}
    assert {t["grade"] for t in report["tests"] if t["segment"] is None} <= {g["name"] for g in scale["grades"]}
    assert sum(grade["applicants"] for grade in scale["grades"]) == len(tested)
    assert content["champion"] == {"compared": False, "reason": "no other champion is published"}
    assert (version.path / "grades.png").stat().st_size > 0


@pytest.fixture
def with_rival(graph: Graph, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Settings, str]:
    """A copy of the home without its evaluation, where a version whose PDs are far too high is the champion."""
    shutil.copytree(graph.settings.root, tmp_path / "copy", symlinks=True)
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path / "copy"))
    settings = Settings()
    shutil.rmtree(settings.lake / "model" / "evaluation")
    path = graph.lake.require(MODEL).path / BUNDLE
    loud = Calibrator("intercept", 1.0, 1.0, 2.0)
    golden = json.loads((path / "golden.json").read_text())["rows"]
    columns = {name: [row["features"][name] for row in golden] for name in bundle.feature_names}
    pds = loud.pds(bundle.booster.margins(bundle.encode(columns)))
    content = BundleContent(
        name="credit-risk-pd",
        model_text=(path / "model.txt").read_text(),
        features=bundle.features,
        plan=bundle.plan,
        policy=bundle.policy,
        calibrator=loud,
        metrics=bundle.metrics,
        golden=[{**row, "pd": pd} for row, pd in zip(golden, pds.tolist(), strict=True)],
        reference=bundle.reference,
        inputs=bundle.manifest["inputs"],
        code_version="rival",
    )
    key = signing_key(settings.keys, settings.signing_key)
    rival = write_bundle(tmp_path / "rival", content, key)
    publish_bundle(tmp_path / "rival", settings.bundles, read_public_key(settings.keys))
    return settings, rival.version


def test_a_second_opening_is_flagged_and_another_champion_is_compared(with_rival: tuple[Settings, str]) -> None:
    settings, rival = with_rival
    assert running.materialize(settings, EVALUATION).failures == []
    evaluation = Lake(settings.lake).require(EVALUATION)
    checks = {check["name"]: check for check in evaluation.manifest.metadata["checks"]}
    assert not checks["lockbox_opened_once"]["passed"]
    assert checks["lockbox_opened_once"]["severity"] == "WARN"
    assert [o.purpose for o in read_ledger(settings.lockbox)] == ["evaluation", "evaluation", "comparison"]
    beside = evaluation.manifest.metadata["facts"]["champion"]
    figures = {figure["metric"]: figure for figure in beside["figures"]}
    assert beside["version"] == rival
    assert figures["auc"]["difference"]["value"] == 0
    assert figures["auc"]["method"] == "delong"
    assert figures["brier"]["verdict"] == "better"


def test_a_tracking_server_that_is_down_stops_the_training_before_it_begins_and_changes_nothing(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(graph.settings.root, tmp_path / "copy", symlinks=True)
    monkeypatch.setenv("CREDITRISK_HOME", str(tmp_path / "copy"))
    monkeypatch.setenv("CREDITRISK_MLFLOW_TRACKING_URI", "http://team:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    before, champion = Lake(Settings().lake).require(MODEL).version, follow(Settings().bundles)
    shutil.rmtree(tmp_path / "copy" / "lake" / "model" / "evaluation")
    (tmp_path / "copy" / "lake" / "model" / "pd" / "CURRENT").unlink()
    down = running.materialize(Settings(), 'key:"model/pd"+')
    assert len(down.failures) == 1
    assert "model/pd: MLflow answered" in down.failures[0]
    assert "secret" not in down.failures[0]
    assert {"model/evaluation", "registry/version"} <= set(down.not_run)
    assert follow(Settings().bundles) == champion
    monkeypatch.delenv("CREDITRISK_MLFLOW_TRACKING_URI")
    assert running.materialize(Settings(), MODEL).failures == []
    assert Lake(Settings().lake).require(MODEL).version == before


@pytest.mark.parametrize("threads", [1, 2])
def test_training_again_gives_the_same_bits(graph: Graph, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("creditrisk_assets.modelling.training.CELLS_WORTH_THREADS", 0)
    choice, config = choose(graph.settings), load_configuration()
    part = read_part(graph.lake.require("training/split_train").data, choice.all)
    found = cross_validate(part, choice.allowed, config, threads=threads)
    assert found.table.equals(pd.read_parquet(graph.lake.require(OUT_OF_FOLD).data))
    model = fit_model(part, choice.allowed, config, threads=threads, search=found.search)
    facts = graph.lake.require(MODEL).manifest.metadata["facts"]
    assert model.model_hash == facts["model_hash"]
    assert found.calibration.calibrator == Calibrator(**facts["calibrator"])


def test_the_simulation_says_what_the_cut_offs_do(graph: Graph) -> None:
    version = graph.lake.require(SIMULATION)
    rows, table = version.manifest.metadata["facts"]["cut_offs"], pd.read_parquet(version.data)
    policy = load_policy()
    assert rows["in_force"]["approve_below"] == policy.decisions.approve_below
    assert rows["best"]["referral_rate"] <= policy.economics.review_capacity_share
    assert rows["best"]["expected_profit_per_applicant"] >= table["expected_profit"].max() - 1e-6
    assert table["approval_rate"].is_monotonic_increasing
    everybody, nobody = table.iloc[-1], table.iloc[0]
    assert (everybody["approval_rate"], nobody["approval_rate"], nobody["realised_profit"]) == (1, 0, 0)
    out_of_fold = pd.read_parquet(graph.lake.require(OUT_OF_FOLD).data)
    assert everybody["bad_rate"] == pytest.approx(out_of_fold["target"].mean())
    assert all((version.path / f"{name}.png").stat().st_size for name in ("single_cut_off", "cut_off_map"))


def test_a_segment_nobody_makes_is_refused_by_name(graph: Graph) -> None:
    part = read_part(graph.lake.require("training/split_test").data, choose(graph.settings).all)
    policy = load_policy()
    flags = segments_of(part, policy)["applicant__has_bureau"]
    assert set(flags) <= {"yes", "no"}
    wrong = policy.model_copy(update={"segments": ("applicant__has_burreau",)})
    with pytest.raises(ValueError, match="applicant__has_burreau, which no family makes"):
        segments_of(part, wrong)
