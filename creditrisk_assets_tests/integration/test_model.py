"""The model of the graph: out of fold, calibrated, and held to the policy."""

import numpy as np
import pandas as pd
import pytest

from creditrisk_assets.defs.training import BUNDLE, CALIBRATOR, MODEL, OUT_OF_FOLD, score_part
from creditrisk_assets.modelling.bundle import Bundle, read_public_key
from creditrisk_assets.modelling.calibration import Calibrator
from creditrisk_assets.modelling.inputs import ModelInput
from creditrisk_assets.modelling.tables import Part, read_part
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


def test_no_pd_moves_against_the_policy(bundle: Bundle, tested: Part) -> None:
    held = [feature for feature in bundle.features if feature.monotone]
    assert held
    rows, moved = Part(tested.ids[:40], None, tested.frame.iloc[:40]), 0.0
    for feature in held:
        known = tested.frame[feature.name].dropna()
        if known.empty:
            continue
        grid = np.unique(np.concatenate([known.quantile(np.linspace(0, 1, 12)), [known.min() - 1, known.max() + 1]]))
        pds = [
            score_part(bundle, Part(rows.ids, None, rows.frame.assign(**{feature.name: np.float32(value)})))
            for value in grid
        ]
        steps = feature.monotone * np.diff(pds, axis=0)
        assert (steps >= 0).all(), feature.name
        moved = max(moved, float(steps.max()))
    assert moved > 0
